"""The Snakemakes that build a study, on this machine and on others: each keeps a record in logs/ while it lives."""

import json
import os
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from coherence.cluster.programs import running
from coherence.cluster.slurm import queue, stop_jobs
from coherence.console import progress
from coherence.provenance.files import pretty, write_atomic
from coherence.provenance.lease import BEAT_S, STALE_S, look


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
            return running(process) and abs(process.create_time() - self.started) < STALE_S
        return False


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
