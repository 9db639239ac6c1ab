"""The programs that make a study's artifacts, on this machine and in jobs: by command line, and by where they write."""

import json
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from coherence.cluster.slurm import PATIENCE_S, Job
from coherence.provenance.artifact import WRITER


@dataclass(frozen=True)
class Program:
    """A program that makes the artifact `out`, as a process of this machine or in a SLURM job."""

    out: Path
    since: float
    process: psutil.Process | None = None

    @property
    def log(self) -> Path:
        """results/S/sft/seed0 -> logs/S/sft/seed0.log; figs/S/arms -> logs/S/figures/arms.log."""
        top, study, *cell = self.out.parts
        folder = ["figures"] if top == "figs" and cell != ["report"] else []
        return Path("logs", study, *folder, *cell[:-1], f"{cell[-1]}.log")


def programs_here(study: str, jobs: Sequence[Job]) -> list[Program]:
    """The study's programs that run on this machine and in none of these jobs (in an allocation, perhaps): by command
    line, started in this folder."""
    numbers = {job.number for job in jobs}
    found = []
    for process in psutil.process_iter(["cmdline", "cwd", "environ", "create_time"]):
        line, about = process.info["cmdline"] or [], process.info
        out = Path(line[line.index("--out") + 1]) if "--out" in line[:-1] else Path()
        of_study = out.parts[:2] in (("results", study), ("figs", study)) and about["cwd"] == str(Path.cwd())
        if of_study and (about["environ"] or {}).get("SLURM_JOB_ID") not in numbers:
            found.append(Program(out, about["create_time"], process=process))
    return found


def programs_in_jobs(study: str) -> dict[str, Program]:
    """SLURM job -> its program, once that has begun to write; by the file in its hidden folder."""
    found = {}
    for top in ("results", "figs"):
        for path in sorted(Path(top, study).rglob(f".*.partial/{WRITER}")):
            try:
                who, since = json.loads(path.read_text()), path.stat().st_mtime
            except (FileNotFoundError, ValueError):  # just done, or just begun
                continue
            out = path.parent.with_name(path.parent.name.removeprefix(".").removesuffix(".partial"))
            found[str(who["slurm_job"])] = Program(out, since)
    return found


def send(processes: Sequence[psutil.Process], number: int) -> None:
    """Send a signal to those that still run."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def still_running(processes: Sequence[psutil.Process], seconds: float = PATIENCE_S) -> list[psutil.Process]:
    """Wait for processes to end; those that have not. One that its parent has not asked for yet has ended too."""
    end = time.monotonic() + seconds
    while (left := [process for process in processes if running(process)]) and time.monotonic() < end:
        time.sleep(0.2)
    return left


def running(process: psutil.Process) -> bool:
    """Whether it has not ended; one that its parent has not asked for yet has."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
