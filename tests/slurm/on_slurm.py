"""Snakemake in a clone on the test cluster, its jobs, and how they are watched and hurt."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from slurm.cluster import MARK, wait_for
from workflow.working_copy import TINY, Clone

STEPS = 500
SLOW = TINY.replace("max_steps: 25", f"max_steps: {STEPS}, gate: {{threshold: 1.0, window: {STEPS}, count: {STEPS}}}")
"""One short study with an SFT run that is long enough to be hurt: its gate never fires."""
RUN = "results/slow/sft/seed0"
PATIENCE_S = 1800.0
"""A busy machine may take minutes to start a program."""


def cluster_needed() -> None:
    """Skip the module where no cluster has been started for it."""
    if MARK not in os.environ:
        pytest.skip("no test cluster: `make slurm-test` starts one", allow_module_level=True)


class Controller:
    """A Snakemake at work, in a process group of its own as in a terminal of its own."""

    def __init__(self, root: Path, *arguments: str) -> None:
        self.output = root / "controller.txt"
        program = str(Path(sys.executable).parent / "snakemake")
        environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "CARL_DATA_ROOT")}
        with self.output.open("ab") as file:
            self.process = subprocess.Popen(
                [program, "--profile", "slurm", *arguments],
                cwd=root,
                env=environment,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )

    def end(self) -> int:
        """Its exit code, once it has one."""
        return self.process.wait(timeout=PATIENCE_S)

    def interrupt(self) -> None:
        """Ctrl-C, and wait."""
        self.process.send_signal(signal.SIGINT)
        assert self.end() != 0

    def said(self) -> str:
        """What it has printed so far."""
        return self.output.read_text(errors="replace")


class SlurmClone(Clone):
    """A clone whose Snakemake sends its jobs to the test cluster."""

    def start(self, *arguments: str, target: str = f"{RUN}/manifest.json") -> Controller:
        """Start Snakemake and come back at once."""
        quick = ("--slurm-init-seconds-before-status-checks", "2")
        self.run = Controller(self.root, target, "--configfile", "config/slow.yaml", *quick, *arguments)
        return self.run

    def end(self) -> None:
        """Kill Snakemake and its jobs, whatever they do."""
        self.run.process.kill()
        self.run.process.wait()
        for job in self.jobs():
            subprocess.run(["scancel", job], check=False)
        wait_for(lambda: not self.jobs(), 60, "a job does not end")

    def wait(self, what: Callable[[], object]) -> None:
        """Come back once that is true; fail if Snakemake ends before."""
        wait_for(lambda: what() or self.run.process.poll() is not None, PATIENCE_S, f"in vain: {self.log()[-2000:]}")
        assert what(), self.run.said()[-3000:]

    def manifest(self) -> bytes:
        """The bytes of the SFT run's manifest, which tell whether it ended with the same weights and metrics."""
        return (self.root / RUN / "manifest.json").read_bytes()

    def step(self) -> int:
        """Steps that the SFT run has logged so far; 0 where it does not run."""
        path = self.root / "results/slow/sft/.seed0.partial/metrics.jsonl"
        return len(path.read_text().splitlines()) if path.is_file() else 0

    def wait_step(self, step: int) -> None:
        """Come back once the SFT run is past a step."""
        self.wait(lambda: self.step() >= step)

    def log(self) -> str:
        """The log of the SFT run's current attempt."""
        path = self.root / "logs/slow/sft/seed0.log"
        return path.read_text() if path.is_file() else ""

    def wait_log(self, text: str) -> None:
        """Come back once the log says so."""
        self.wait(lambda: text in self.log())

    def jobs(self, *states: str) -> list[str]:
        """Numbers of this clone's jobs in the queue."""
        chosen = [f"--states={','.join(states)}"] if states else []
        lines = slurm("squeue", "--noheader", "--format=%A|%Z", *chosen).splitlines()
        return [line.split("|")[0] for line in lines if line.split("|")[1] == str(self.root)]


def slurm(*command: str) -> str:
    """What a SLURM command prints."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
