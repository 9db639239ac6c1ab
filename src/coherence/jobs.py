"""What is at work on a study: the Snakemake that builds it, programs on this machine, jobs in the SLURM queue.

No daemon but SLURM's is asked: a controller leaves a record in logs/, a program in a job names that where it writes.
"""

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from coherence.console import progress
from coherence.provenance.artifact import WRITER
from coherence.provenance.files import write_atomic

PATIENCE_S = 60.0
"""How long a stopped program may take to save its state; SLURM's own KillWait is shorter at most sites."""


@dataclass(frozen=True)
class Controller:
    """A Snakemake that builds the study; `slurm_run` is the name of its SLURM jobs, None where it sends none."""

    host: str
    pid: int
    slurm_run: str | None

    @property
    def here(self) -> bool:
        """Whether it was started on this machine."""
        return self.host == socket.gethostname()

    @property
    def alive(self) -> bool:
        """Whether it is at work; of one on another machine its jobs in the queue tell."""
        jobs = [self.slurm_run] if self.slurm_run else []
        return runs(self.pid, "snakemake") if self.here else bool(queue(jobs))


@dataclass(frozen=True)
class Program:
    """A program that makes the artifact `out`, as a process of this machine or in a SLURM job."""

    out: Path
    since: float
    process: psutil.Process | None = None
    slurm_job: str | None = None

    @property
    def log(self) -> Path:
        """results/S/sft/seed0 -> logs/S/sft/seed0.log; figs/S/arms -> logs/S/figures/arms.log."""
        top, study, *cell = self.out.parts
        folder = ["figures"] if top == "figs" and cell != ["report"] else []
        return Path("logs", study, *folder, *cell[:-1], f"{cell[-1]}.log")


@dataclass(frozen=True)
class Job:
    """A job in the SLURM queue: its number and state, rule and wildcards, node or what it waits for, start."""

    number: str
    state: str
    what: str
    where: str
    since: str


def runs(pid: int, word: str) -> bool:
    """Whether a process of that number runs on this machine with the word in its command line."""
    try:
        return any(word in part for part in psutil.Process(pid).cmdline())
    except psutil.Error:
        return False


def controllers(study: str) -> list[Controller]:
    """Those on record, alive or not; the last start is the last."""
    path = _record(study)
    return [Controller(**entry) for entry in json.loads(path.read_text())] if path.is_file() else []


def record_start(study: str, pid: int, slurm_run: str | None) -> None:
    """Put this controller on record; jobs that a killed one left in the queue are stopped before it sends its own."""
    before = controllers(study)
    for old in before:
        if slurm_run and old.slurm_run and not old.here and old.alive:
            raise ValueError(
                f"jobs of Snakemake process {old.pid} on {old.host} are in the queue: if it does not run any more,"
                f" `python scripts/jobs.py stop --study {study}`, then run again"
            )
    left = [old.slurm_run for old in before if old.slurm_run and not old.alive]
    if slurm_run and queue(left):
        progress(f"{len(queue(left))} jobs of an earlier run, which was killed, are in the queue: stopping them first")
        stop_jobs(left)
    new = Controller(socket.gethostname(), pid, slurm_run)
    _record(study).parent.mkdir(parents=True, exist_ok=True)
    known = [asdict(entry) for entry in [*before, new] if entry.alive]
    write_atomic(_record(study), json.dumps(known).encode())


def locked_by(study: str, configfile: str) -> str:
    """Whose lock keeps Snakemake from starting, and what to do, in one line."""
    known = controllers(study)
    if not known:
        return "locked: another Snakemake runs in this folder, or was killed (then: snakemake --unlock)"
    last = known[-1]
    who = f"locked: Snakemake process {last.pid} on {last.host}"
    if last.alive and last.here:
        return f"{who} builds this study; see `python scripts/jobs.py status --study {study}`"
    gone = "was killed" if last.here else "may have been killed; if it does not run any more"
    return f"{who} {gone}: `snakemake --unlock --configfile {configfile}`, then the same command again goes on"


def _record(study: str) -> Path:
    return Path("logs", study, "controllers.json")


def programs_here(study: str) -> list[Program]:
    """The study's programs that run on this machine and in no SLURM job: by command line, started in this folder."""
    found = []
    for process in psutil.process_iter(["cmdline", "cwd", "environ", "create_time"]):
        line, about = process.info["cmdline"] or [], process.info
        out = Path(line[line.index("--out") + 1]) if "--out" in line[:-1] else Path()
        of_study = out.parts[:2] in (("results", study), ("figs", study)) and about["cwd"] == str(Path.cwd())
        if of_study and "SLURM_JOB_ID" not in (about["environ"] or {}):
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
            found[str(who["slurm_job"])] = Program(out, since, slurm_job=who["slurm_job"])
    return found


def queue(slurm_runs: Sequence[str]) -> list[Job]:
    """Jobs of these names that SLURM has not ended; ValueError where it does not answer."""
    if not slurm_runs or shutil.which("squeue") is None:
        return []
    done = _slurm("squeue", "--noheader", f"--name={','.join(slurm_runs)}", "--format=%A|%T|%k|%R|%S")
    fields = [line.split("|") for line in done.splitlines()]
    return [Job(a, t, k.removeprefix("rule_").replace("_wildcards_", " "), r, s) for a, t, k, r, s in fields]


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


def send(processes: Sequence[psutil.Process], number: int) -> None:
    """Send a signal to those that still run."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def still_running(processes: Sequence[psutil.Process], seconds: float = PATIENCE_S) -> list[psutil.Process]:
    """Wait for processes to end; those that have not. One that its parent has not asked for yet has ended too."""
    end = time.monotonic() + seconds
    while (left := [process for process in processes if _runs(process)]) and time.monotonic() < end:
        time.sleep(0.2)
    return left


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _slurm(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise ValueError(f"{command[0]}: {said[-1]}")
    return done.stdout
