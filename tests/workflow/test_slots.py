"""GPUs of one machine, shared by processes that know nothing of each other; a stand-in for nvidia-smi lists them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from repository import REPO

from coherence.cluster.slots import list_gpus, take, take_gpus

LISTING = """\
GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-aaaa-0)
GPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-bbbb-1)
  MIG 1g.10gb     Device  0: (UUID: MIG-cccc-0)
"""
JOB = """\
import os, sys, time
from coherence.cluster.slots import take_gpus
take_gpus({"device": "cuda", "processes": int(sys.argv[1])})
assert "torch" not in sys.modules
print("has", os.environ["CUDA_VISIBLE_DEVICES"], flush=True)
time.sleep(60)
"""


class Box:
    """A machine with two GPUs, on which jobs are started and killed."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.jobs = folder, list[subprocess.Popen[str]]()
        program = folder / "nvidia-smi"
        program.write_text(f"#!/bin/sh\ncat <<'END'\n{LISTING}END\n")
        program.chmod(0o755)

    def environment(self, **more: str) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if key not in ("SLURM_JOB_ID", "CUDA_VISIBLE_DEVICES")}
        path = f"{self.folder}:{os.environ['PATH']}"
        return kept | {"PATH": path, "TMPDIR": str(self.folder), "PYTHONPATH": str(REPO / "src")} | more

    def start(self, processes: int = 1) -> subprocess.Popen[str]:
        job = subprocess.Popen(
            [sys.executable, "-c", JOB, str(processes)], env=self.environment(), stdout=subprocess.PIPE, text=True
        )
        self.jobs.append(job)
        return job


def line(job: subprocess.Popen[str]) -> str:
    """The next line that a job prints."""
    assert job.stdout is not None
    return job.stdout.readline().strip()


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    box = Box(tmp_path)
    yield box
    for job in box.jobs:
        job.kill()
        job.wait()


WAITING = "waiting for 1 of 2 GPUs: others have them"


def test_each_job_has_a_gpu_of_its_own_and_the_next_waits_until_one_dies(box: Box) -> None:
    first, second = box.start(), box.start()
    assert {line(first), line(second)} == {"has GPU-aaaa-0", "has GPU-bbbb-1"}
    third = box.start()
    assert line(third) == WAITING
    time.sleep(1.2)
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert line(third).startswith("has GPU-"), "one line of waiting, and the dead one's place"
    fourth = box.start()
    assert line(fourth) == WAITING
    third.terminate()
    assert line(fourth).startswith("has GPU-")


def test_a_job_of_two_processes_waits_for_both_and_is_not_overtaken(box: Box) -> None:
    first = box.start()
    assert line(first) == "has GPU-aaaa-0"
    both = box.start(2)
    assert line(both) == "waiting for 2 of 2 GPUs: others have them"
    late = box.start()
    assert line(late) == WAITING
    first.kill()
    assert line(both) == "has GPU-bbbb-1,GPU-aaaa-0"
    both.kill()
    assert line(late) == "has GPU-aaaa-0"


def test_a_job_that_one_gpu_suffices_leaves_the_other(tmp_path: Path) -> None:
    assert take(["a", "b"], 1, tmp_path) == ["a"]
    assert take(["a", "b"], 1, tmp_path) == ["b"]


@pytest.mark.parametrize(
    ("device", "given"),
    [
        ("cpu", {}),
        ("cuda", {"SLURM_JOB_ID": "7"}),
        ("cuda", {"CUDA_VISIBLE_DEVICES": "1"}),
        ("cuda", {"TORCHELASTIC_RUN_ID": "none"}),
    ],
    ids=["cpu", "slurm", "chosen", "one of several"],
)
def test_where_another_decides_nothing_is_taken(
    box: Box, monkeypatch: pytest.MonkeyPatch, device: str, given: dict[str, str]
) -> None:
    for name in ("SLURM_JOB_ID", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    for name, value in box.environment(**given).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("coherence.cluster.slots.take", lambda *_: pytest.fail("a GPU was taken"))
    take_gpus({"device": device})
    assert os.environ.get("CUDA_VISIBLE_DEVICES") == given.get("CUDA_VISIBLE_DEVICES")


def test_what_starts_several_processes_takes_their_gpus_for_all_of_them(box: Box) -> None:
    told = "import os; print('has', os.environ['CUDA_VISIBLE_DEVICES'], flush=True); import time; time.sleep(60)"
    launch = [sys.executable, "-m", "coherence.cluster.slots", "2", sys.executable, "-c", told]
    both = subprocess.Popen(launch, env=box.environment(), stdout=subprocess.PIPE, text=True)
    box.jobs.append(both)
    assert line(both) == "has GPU-aaaa-0,GPU-bbbb-1"
    late = box.start()
    assert line(late) == WAITING, "the locks outlive the start of the program"
    both.kill()
    assert line(late).startswith("has GPU-")


def test_more_processes_than_gpus_is_told(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SLURM_JOB_ID", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", f"{box.folder}:{os.environ['PATH']}")
    assert list_gpus() == ["GPU-aaaa-0", "GPU-bbbb-1"]
    with pytest.raises(ValueError, match=r"compute\.processes is 3, but this machine has 2 GPUs"):
        take_gpus({"device": "cuda", "processes": 3})


def test_a_machine_without_gpus_is_left_to_the_models_own_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SLURM_JOB_ID", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    take_gpus({"device": "cuda"})
    assert "CUDA_VISIBLE_DEVICES" not in os.environ
