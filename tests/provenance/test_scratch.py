"""The scratch folder: whole states only, one writer, and when a lease is taken over."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from clones import Clone

from coherence.provenance import lease
from coherence.provenance.artifact import read_card
from coherence.provenance.lease import LEASE, held
from coherence.provenance.scratch import Scratch, hold, kept, torn
from coherence.provenance.verify import report, verify

PARTS: dict[str, dict[str, Any]] = {"settings": {"lr": 1}, "code": {"a.py": "x"}, "inputs": {}, "packages": {}}
RUN = {"stage": "sft", "cell": {"seed": 0}, "out": "results/s/sft/seed0", "identity": "ab" * 32, "parts": PARTS}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("BEAT_S", 0.05), ("LOOK_S", 0.05)):
        monkeypatch.setattr(lease, name, seconds)
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.delenv("CARL_SCRATCH", raising=False)


def save(scratch: Scratch, step: int, text: str = "state") -> None:
    with scratch.step(step) as folder:
        (folder / "state.json").write_text(text)


def left_by(folder: Path, age: float = 0.0, **holder: Any) -> None:
    """A lease of another process."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / LEASE).write_text(json.dumps({"host": "elsewhere", "pid": 1, "slurm_job": None, "token": "t"} | holder))
    os.utime(folder / LEASE, (time.time() - age, time.time() - age))


def dead_pid() -> int:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return done.pid


def test_only_the_last_whole_state_is_kept_and_a_torn_one_is_never_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with hold(tmp_path, RUN) as scratch:
        save(scratch, 4)
        save(scratch, 8)
        assert [path.name for path in scratch.folder.glob("step-*")] == ["step-8"]
        with pytest.raises(OSError, match="full"), scratch.step(12) as folder:
            (folder / "state.json").write_text("half")
            raise OSError("full")
        assert [path.name for path in scratch.folder.glob("step-*")] == ["step-8"]
        torn_one = scratch.folder / "step-16"  # as a killed process leaves it
        torn_one.mkdir()
        (torn_one / "state.json").write_text("half")
        assert scratch.last() == scratch.folder / "step-8"
        assert "not used" in capsys.readouterr().out
        (scratch.folder / "step-8/state.json").write_text("other")
        assert scratch.last() is None and "has other bytes" in str(torn(scratch.folder / "step-8"))


def test_nothing_is_left_of_a_run_without_a_state_or_when_it_is_done(tmp_path: Path) -> None:
    with hold(tmp_path, RUN):
        pass
    assert not any((tmp_path / "scratch").iterdir())
    with hold(tmp_path, RUN) as scratch:
        save(scratch, 1)
        scratch.done = True
    assert not any((tmp_path / "scratch").iterdir())


def test_attempts_are_recorded_and_another_identity_never_goes_on(tmp_path: Path) -> None:
    for step in (3, 7):
        with hold(tmp_path, RUN) as scratch:
            scratch.start()
            save(scratch, step)
    with hold(tmp_path, RUN | {"identity": "cd" * 32}) as other:
        assert other.start() is None
    with hold(tmp_path, RUN) as scratch:
        assert scratch.start() == scratch.folder / "step-7"
        assert [attempt["from_step"] for attempt in scratch.history["attempts"]] == [0, 3, 7]
        (found,) = kept(tmp_path / "scratch")
        assert found.step == 7 and found.user and found.out == RUN["out"]
    assert kept(tmp_path / "scratch")[0].user is None
    with (
        pytest.raises(ValueError, match="another run's"),
        hold(tmp_path, RUN | {"identity": "ab" * 31 + "00"}),
    ):
        pass


def test_the_other_processes_of_a_job_read_what_the_first_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hold(tmp_path, RUN) as scratch:
        save(scratch, 2)
        with monkeypatch.context() as patch:
            patch.setenv("RANK", "1")
            with hold(tmp_path, RUN) as reader:
                assert reader.start() == scratch.folder / "step-2"
        assert scratch.history == {} and (scratch.folder / LEASE).exists()


def test_a_second_writer_is_refused_while_the_first_is_at_work(tmp_path: Path) -> None:
    with held(tmp_path):
        taken = (tmp_path / LEASE).stat().st_mtime
        while (tmp_path / LEASE).stat().st_mtime == taken:
            time.sleep(0.02)  # until the heart beats
        with (
            pytest.raises(ValueError, match=f"in use by process {os.getpid()} on {socket.gethostname()}"),
            held(tmp_path),
        ):
            pass
    assert not (tmp_path / LEASE).exists()


def test_a_beating_lease_of_another_host_is_refused(tmp_path: Path) -> None:
    left_by(tmp_path, host="node7", pid=12, slurm_job="345")
    done = threading.Event()

    def beat() -> None:
        while not done.wait(0.03):
            os.utime(tmp_path / LEASE)

    beating = threading.Thread(target=beat)
    beating.start()
    try:
        with pytest.raises(ValueError, match="process 12 on node7, SLURM job 345"), held(tmp_path):
            pass
    finally:
        done.set()
        beating.join()


@pytest.mark.parametrize(
    ("holder", "age", "seconds"),
    [
        ({"pid": dead_pid(), "host": socket.gethostname()}, 0.0, 0.0),
        ({"host": "node1", "slurm_job": "77"}, 0.0, 0.0),
        ({"host": "node1"}, 100.0, 0.0),
        ({"host": "node1"}, 0.0, 0.5),
        ({"host": "node1"}, -3600.0, 0.5),
    ],
    ids=["dead here", "the same SLURM job, requeued", "old", "silent while watched", "of a clock that is ahead"],
)  # fmt: skip
def test_a_lease_that_nobody_holds_is_taken_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, holder: dict[str, Any], age: float, seconds: float
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    monkeypatch.setattr(lease, "STALE_S", 0.6 if seconds else 60.0)
    left_by(tmp_path, age, **holder)
    began = time.monotonic()
    with held(tmp_path) as mine:
        assert seconds <= time.monotonic() - began
        assert (tmp_path / LEASE).read_text() == mine.text


def test_without_slurm_a_fresh_lease_of_another_host_is_not_taken_at_once(tmp_path: Path) -> None:
    left_by(tmp_path)
    text, touched = (tmp_path / LEASE).read_text(), (tmp_path / LEASE).stat().st_mtime
    assert not lease.over(text, touched), "no job there and none here are not the same job"
    assert lease.over(text, touched - 2 * lease.STALE_S)


def test_who_has_lost_the_lease_writes_nothing_more(tmp_path: Path) -> None:
    with hold(tmp_path, RUN) as scratch:
        save(scratch, 1)
        left_by(scratch.folder)
        with pytest.raises(ValueError, match="taken over"):
            save(scratch, 2)
    assert (scratch.folder / LEASE).exists() and (scratch.folder / "step-1").is_dir(), "they are the other's now"


def test_a_continued_artifact_is_right_and_shown_as_continued(clone: Clone) -> None:
    clone.build(clone.artifact("base"))
    first = clone.artifact("sft", 0)
    with pytest.raises(RuntimeError), first.write_resumable() as (_, scratch):
        scratch.start()
        save(scratch, 5)
        raise RuntimeError("killed")
    clone.values["sft"] = {"learning_rate": 0.1}
    with clone.artifact("sft", 0).write_resumable(first.identity[:8]) as (folder, scratch):
        assert scratch.start() == clone.root / "scratch/sft" / first.identity[:16] / "step-5"
        (folder / "model.bin").write_text("weights")
    card = read_card(Path("results/s/sft/seed0"))
    assert card["resumed_from"]["identity"] == first.identity
    found = verify("s", clone.settings, root=clone.root)
    assert [finding.status for finding in found] == ["ok", "ok"]
    said = f"continued from step 5 of {first.identity[:12]}; changed since: settings: sft.learning_rate 0.001 -> 0.1"
    assert said in report(found)
