"""The program, as a person runs it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from json import loads
from pathlib import Path
from threading import Timer
from typing import Any

import pytest
from repository import REPO
from watched import FIXTURES, noisy, write_log, write_trackio

from scripts.observe import main

SCRIPT = str(REPO / "scripts/observe.py")
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(REPO / "src"), "PYTHONIOENCODING": "utf-8", "COLUMNS": "200"}


def observe(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, SCRIPT, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT | environment, check=False)


def test_a_trainer_state_in_the_terminal() -> None:
    done = observe(FIXTURES / "sft_trainer_state.json", "--vocab-size", 576)
    assert done.returncode == 0 and "\x1b" not in done.stdout
    assert "mean_token_accuracy" in done.stdout and "gate: 0 of 5 so far" in done.stdout and "█" in done.stdout


def test_ascii_where_stdout_has_nothing_else() -> None:
    done = observe(FIXTURES / "sft_trainer_state.json", PYTHONIOENCODING="ascii")
    assert done.returncode == 0 and done.stdout.isascii()


def test_json_and_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = write_log(tmp_path / "a.jsonl", reward=noisy(1, 0.2), entropy=noisy(2, 2))
    main(log, json=True, out=tmp_path / "a.html")
    told = loads(capsys.readouterr().out)
    assert told["kind"] == "rewarded" and [wrong["name"] for wrong in told["wrong"]] == ["reward_falls"]
    assert "well below its best" in (tmp_path / "a.html").read_text()


def test_a_folder_of_runs_is_a_list(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("b", "a"):
        write_log(tmp_path / name / "metrics.jsonl", accuracy=[0.5], entropy=[1.0])
    main(tmp_path)
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["a", "b"]
    main(tmp_path, json=True)
    assert [run["run"] for run in loads(capsys.readouterr().out)["runs"]] == ["a", "b"]
    main(tmp_path, run="a")
    assert "a/metrics.jsonl" in capsys.readouterr().out.replace("\n", "")


def test_no_torch_and_no_figures_without_need() -> None:
    code = "import sys; from scripts import observe; print({'torch', 'matplotlib', 'pandas'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=ENVIRONMENT, cwd=REPO)
    assert done.stdout.strip() == "set()", done.stderr


BAD = {
    "missing.jsonl": (None, "does not exist"),
    "empty.jsonl": (b"", "no entry has been logged"),
    "binary.log": (b"\x00\xff\x01" * 50, "binary file"),
    "broken.jsonl": (b'{"step": 1, "loss": 1}\n{"step": 2,\n{"step": 3, "loss": 1}\n', "broken.jsonl, line 2"),
    "stepless.csv": (b"loss,epoch\n1,2\n", "no step column"),
    "stepless.jsonl": (b'{"loss": 1}\n', "no entry has a step"),
    "wide.csv": (b"step,loss\n1,2,3\n", "wide.csv, line 2"),
    "huge.csv": (b"step,loss\n1," + b"9" * 200_000 + b"\n", "huge.csv"),
    "state.json": (b'{"log_history": 3}', "no trainer_state.json"),
    "cut.db": (b"SQLite format 3\0" + b"x" * 200, "trackio"),
}


def test_a_trackio_database_without_a_run_has_nothing_yet(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no entry has been logged"):
        main(write_trackio(tmp_path / "p.db", {}, {}))


def test_runs_that_are_all_broken_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in "ab":
        write_log(tmp_path / name / "metrics.jsonl", loss=[1.0]).write_text("{oops}\n")
    main(tmp_path)
    assert capsys.readouterr().out.count("broken") == 2


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line(tmp_path: Path, name: str) -> None:
    content, said = BAD[name]
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises((ValueError, OSError)) as mistake:
        main(tmp_path / name)
    assert said in str(mistake.value) and name in str(mistake.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"live": True, "json": True}, "--live"),
        ({"out": Path("x.pdf")}, ".html, .png or .svg"),
        ({"out": Path("no/such/folder/x.png")}, "no/such/folder"),
        ({"vocab_size": 1}, "--vocab-size"),
        ({"run": "z"}, "no such run"),
    ],
)
def test_bad_options_are_mistakes(options: dict[str, Any], said: str) -> None:
    with pytest.raises((ValueError, OSError), match=said):
        main(FIXTURES / "sft_trainer_state.json", **options)


def test_a_mistake_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    done = observe(tmp_path / "missing")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)


@pytest.mark.parametrize("arguments", [["--help"], [str(FIXTURES / "sft_trainer_state.json")]])
def test_it_ends_quietly_where_nobody_reads_on(tmp_path: Path, arguments: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with (tmp_path / "log").open("w") as log:
        done = subprocess.run(
            [sys.executable, SCRIPT, *arguments], stdout=writer, stderr=log, env=ENVIRONMENT, check=False
        )
    os.close(writer)
    assert (done.returncode, (tmp_path / "log").read_text()) == (141, "")


@contextmanager
def following(log: Path) -> Iterator[subprocess.Popen[str]]:
    """The program with --live, killed at the end and where it hangs; Ctrl-C works though the tests may ignore it."""
    live = subprocess.Popen(
        [sys.executable, SCRIPT, str(log), "--live"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    hanging = Timer(300, live.kill)
    hanging.start()
    try:
        yield live
    finally:
        hanging.cancel()
        live.kill()
        live.communicate()


def test_live_follows_and_ctrl_c_ends_it(tmp_path: Path) -> None:
    log = write_log(tmp_path / "metrics.jsonl", accuracy=[0.25], entropy=[2.0])
    with following(log) as live:
        assert live.stdout is not None
        assert "1 logged steps" in live.stdout.readline()
        with log.open("a") as file:
            file.write('{"step": 2, "accuracy": 0.5, "entropy": 1.0}\n{"step": 3, "acc')
        while "2 logged steps" not in (line := live.stdout.readline()):
            assert line, "it stopped without showing the second step"
        live.send_signal(signal.SIGINT)
        assert (live.communicate()[1], live.returncode) == ("", 0)
