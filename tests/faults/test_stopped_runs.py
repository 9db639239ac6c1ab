"""Training programs that are stopped, killed, started twice, or go on from another identity's state."""

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from faults.tried import Shop
from repository import REPO, read_jsonl

from coherence.provenance.artifact import read_card, read_manifest
from coherence.training.metrics import MetricsLog

SFT = "train_sft --config study.json --seed 0 --base base --data data"
GRPO = "train_grpo --config study.json --arm task --seed 0 --sft sft --data data"
EAGER = """
import runpy, sys
from coherence.training import checkpoints
checkpoints.INTERVAL_S, checkpoints.SHARE = 0.0, 1.0
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""A program that saves after every step."""


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CARL_SCRATCH", str(tmp_path / "scratch"))
    return tmp_path / "scratch"


def settle(shop: Shop, **sections: dict[str, Any]) -> None:
    """Change values of the resolved study."""
    study = json.loads((shop.folder / "study.json").read_text())
    changed = {name: study.get(name, {}) | values for name, values in sections.items()}
    shop.write("study.json", json.dumps(study | changed))


@contextmanager
def started(shop: Shop, command: str, *before: str) -> Iterator[subprocess.Popen[str]]:
    """A program in a process of its own, at work when its first line of progress has come; killed if it stays."""
    script, *arguments = shlex.split(command)
    line = [sys.executable, *before, str(REPO / f"scripts/{script}.py"), *arguments]
    environment = os.environ | {"PYTHONPATH": str(REPO / "src")}
    with subprocess.Popen(line, cwd=shop.folder, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for(there: Callable[[], object], process: subprocess.Popen[str]) -> None:
    while not there():
        assert process.poll() is None, "it ended before"
        time.sleep(0.05)


def test_sigterm_saves_and_the_same_command_goes_on(shop: Shop, scratch: Path) -> None:
    settle(shop, sft={"max_steps": 60})
    with started(shop, f"{SFT} --out stopped") as process:
        assert process.stdout
        for line in process.stdout:
            if "step 1/60" in line:
                break
        shop.refuses(f"{SFT} --out other", f"in use by process {process.pid} on {socket.gethostname()}: let it finish")
        process.send_signal(signal.SIGTERM)
        time.sleep(0.02)
        process.send_signal(signal.SIGTERM)  # while it saves, or after: it may end sooner, not otherwise
        rest = process.stdout.read()
        assert process.wait() in (128 + signal.SIGTERM, -signal.SIGTERM)
    told = re.search(r"\[sft seed0\] stopped by SIGTERM after step (\d+); state: (\S+); the same command goes on", rest)
    assert told and (scratch.parent / "shop" / told[2]).resolve().is_dir()
    step = int(told[1])
    assert 0 < step < 60 and not (shop.folder / "stopped/card.json").exists()
    listed = shop.run("clean_scratch", code=0)
    assert re.search(rf"MB +step {step} +\d+ min old +stopped\n", listed)

    printed = shop.run(f"{SFT} --out stopped")
    assert f"attempt 2 goes on after step {step}" in printed
    card = read_card(shop.folder / "stopped")
    assert [entry["from_step"] for entry in card["attempts"]] == [0, step] and "resumed_from" not in card
    assert not list(scratch.glob("**/*.json")), "removed on success"
    shop.run(f"{SFT} --out whole")
    assert read_manifest(shop.folder / "whole") == read_manifest(shop.folder / "stopped")
    assert [line["step"] for line in read_jsonl(shop.folder / "stopped/metrics.jsonl")] == list(range(1, 61))


def test_sigkill_loses_what_came_after_the_last_save(shop: Shop, scratch: Path) -> None:
    settle(shop, grpo={"steps": 12})
    with started(shop, f"{GRPO} --out killed", "-c", EAGER) as process:
        wait_for(lambda: list(scratch.glob("grpo/*/step-*/manifest.json")), process)
        process.kill()
        process.wait()
    shop.run(f"{GRPO} --out killed")
    shop.run(f"{GRPO} --out whole")
    assert read_manifest(shop.folder / "whole") == read_manifest(shop.folder / "killed")
    assert read_card(shop.folder / "killed")["attempts"][-1]["from_step"] > 0


def stop_at(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """SIGTERM comes while this step is logged; once."""
    written, left = MetricsLog.on_log, [1]

    def on_log(self: Any, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        written(self, args, state, control, logs, **kwargs)
        if state.global_step == step and left:
            left.pop()
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(MetricsLog, "on_log", on_log)


def test_a_person_goes_on_after_a_change_and_the_card_says_so(
    shop: Shop, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle(shop, sft={"max_steps": 12})
    stop_at(monkeypatch, 5)
    shop.run(f"{SFT} --out run", code=128 + signal.SIGTERM)
    (old,) = (path.name for path in scratch.glob("sft/*"))
    settle(shop, sft={"learning_rate": 0.005}, resume_from={"sft/seed0": old[:9]})
    assert "attempt 1 goes on after step 6" in shop.run(f"{SFT} --out run")
    told = read_card(shop.folder / "run")["resumed_from"]
    assert told["identity"].startswith(old) and told["step"] == 6
    assert told["changed_since"] == ["settings: sft.learning_rate 0.01 -> 0.005"]
    rates = [line["learning_rate"] for line in read_jsonl(shop.folder / "run/metrics.jsonl")]
    assert len(rates) == 12 and rates[4] > 1.9 * rates[7] > 0
    assert (scratch / "sft" / old).is_dir(), "another identity's state is not this run's to remove"


@pytest.mark.parametrize(
    ("resume_from", "command", "said"),
    [
        ({"sft/seed0": "f00"}, SFT, "resume_from: 0 runs in ... begin with 'f00': see `make clean-scratch`"),
        ({"sft/seed0": "abc"}, SFT, 'is the state of {"seed": 7}, another cell'),
        ({"sft/seed0": "ab1"}, SFT, "began with other inputs (base, data), so it is another run"),
        ({"sft/seed0": "abd"}, SFT, "holds no whole state"),
    ],
)
def test_what_is_named_to_go_on_from_must_be_that_run(
    shop: Shop, scratch: Path, resume_from: dict[str, str], command: str, said: str
) -> None:
    parts = {"settings": {}, "code": {}, "inputs": {"base": "x", "data": "y"}, "packages": {}}
    for beginning, seed in (("abc", 7), ("ab1", 0), ("abd", 0)):
        run = {"stage": "sft", "cell": {"seed": seed}, "out": "x", "identity": f"{beginning}0", "attempts": []}
        (scratch / "sft" / beginning).mkdir(parents=True)
        (scratch / "sft" / beginning / "run.json").write_text(json.dumps({**run, "parts": parts}))
    (scratch / "sft/ab1/step-1").mkdir()
    (scratch / "sft/ab1/step-1/manifest.json").write_text('{"files": []}')
    settle(shop, resume_from=resume_from)
    shop.refuses(f"{command} --out x", said)
