"""What is at work on a study: the Snakemake that builds it, programs on this machine, jobs in the SLURM queue.

No daemon but SLURM's is asked: a controller keeps a record in logs/, a program in a job names that where it writes.
"""

import json
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from coherence.console import progress
from coherence.provenance.artifact import WRITER
from coherence.provenance.files import pretty, write_atomic
from coherence.provenance.lease import BEAT_S, STALE_S, look

PATIENCE_S = 60.0
"""How long a stopped program may take to save its state; SLURM's own KillWait is shorter at most sites."""


@dataclass(frozen=True)
class Controller:
    """A Snakemake that builds the study; `slurm_run` is the name of its SLURM jobs, None where it sends none. It was
    `started` and has last `touched` its record at these seconds since the epoch."""

    host: str
    pid: int
    started: float
    slurm_run: str | None
    touched: float

    @property
    def here(self) -> bool:
        """Whether it was started on this machine."""
        return self.host == socket.gethostname()

    @property
    def alive(self) -> bool:
        """Whether it is at work; of one on another machine its record tells, which it touches as long as it lives."""
        if not self.here:
            return time.time() - self.touched < STALE_S
        with suppress(psutil.Error):
            process = psutil.Process(self.pid)  # of that number, perhaps another; the clock may have been set since
            return _runs(process) and abs(process.create_time() - self.started) < STALE_S
        return False


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


@dataclass(frozen=True)
class Job:
    """A job in the SLURM queue: its number and state, rule and wildcards, node or what it waits for, start."""

    number: str
    state: str
    what: str
    where: str
    since: str


def controllers(study: str) -> list[Controller]:
    """Those on record, alive or not; the last start is the last."""
    seen = map(look, _records(study).glob("*.json"))
    found = [Controller(**json.loads(text), touched=touched) for text, touched in filter(None, seen)]
    return sorted(found, key=lambda one: one.started)


def record_start(study: str, slurm_run: str | None) -> None:
    """Put this process on record, as a controller that lives as long as it touches that; jobs that a dead one has left
    in the queue are stopped before this one sends its own."""
    dead = [one for one in controllers(study) if not one.alive]
    left = [one.slurm_run for one in dead if one.slurm_run]
    if jobs := queue(left):
        progress(f"{len(jobs)} jobs of an earlier run, which was killed, are in the queue: stopping them first")
        stop_jobs(left)
    for one in dead:
        _record(study, one.host, one.pid).unlink(missing_ok=True)
    host, this = socket.gethostname(), psutil.Process()
    new = {"host": host, "pid": this.pid, "started": this.create_time(), "slurm_run": slurm_run}
    write_atomic(_record(study, host, this.pid), pretty(new))
    threading.Thread(target=_touch, args=[_record(study, host, this.pid)], daemon=True).start()


def _touch(record: Path) -> None:
    while True:
        time.sleep(BEAT_S)
        with suppress(OSError):
            os.utime(record)


def locked_by(study: str, configfile: str) -> str:
    """Whose lock keeps Snakemake from starting, and what to do, in one line."""
    known = controllers(study)
    if not known:
        return "locked: another Snakemake runs in this folder, or was killed (then: snakemake --unlock)"
    last = known[-1]
    who = f"locked: Snakemake process {last.pid} on {last.host}"
    if last.alive:
        return f"{who} builds this study; see `python scripts/jobs.py status --study {study}`"
    gone = "was killed" if last.here else "may have been killed; if it does not run any more"
    return f"{who} {gone}: `snakemake --unlock --configfile {configfile}`, then the same command again goes on"


def _records(study: str) -> Path:
    return Path("logs", study, "controllers")


def _record(study: str, host: str, pid: int) -> Path:
    return _records(study) / f"{host}-{pid}.json"


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
