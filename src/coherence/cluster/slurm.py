"""The jobs of a Snakemake in the SLURM queue: see them, stop them so that they can go on."""

import shutil
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

PATIENCE_S = 60.0
"""How long a stopped program may take to save its state; SLURM's own KillWait is shorter at most sites."""


@dataclass(frozen=True)
class Job:
    """A job in the SLURM queue: its number and state, rule and wildcards, node or what it waits for."""

    number: str
    state: str
    what: str
    where: str


def queue(slurm_runs: Sequence[str]) -> list[Job]:
    """Jobs of these names that SLURM has not ended; ValueError where it does not answer."""
    if not slurm_runs or shutil.which("squeue") is None:
        return []
    done = _slurm("squeue", "--noheader", f"--name={','.join(slurm_runs)}", "--format=%A|%T|%k|%R")
    fields = [line.split("|") for line in done.splitlines()]
    return [Job(a, t, k.removeprefix("rule_").replace("_wildcards_", " "), r) for a, t, k, r in fields]


def stop_jobs(slurm_runs: Sequence[str]) -> None:
    """Take waiting jobs from the queue, ask running ones to save their state and end, cancel what is left then."""
    asked = set[str]()
    end = time.monotonic() + PATIENCE_S
    while (jobs := queue(slurm_runs)) and time.monotonic() < end:
        for job in jobs:
            if job.number not in asked:
                asked.add(job.number)
                waits = job.state in ("PENDING", "CONFIGURING")
                with suppress(ValueError):  # it may have ended meanwhile; the queue tells
                    _slurm("scancel", *([] if waits else ["--signal=TERM"]), job.number)
        time.sleep(0.5)
    for job in jobs:
        with suppress(ValueError):
            _slurm("scancel", job.number)


def _slurm(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise ValueError(f"{command[0]}: {said[-1]}")
    return done.stdout
