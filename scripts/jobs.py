"""What is at work on a study, here and in the SLURM queue: see it, read its logs, stop it so that it can go on."""

import signal
import time
from pathlib import Path
from typing import Annotated, Literal

import psutil
import tyro

from coherence.cluster.controllers import controllers
from coherence.cluster.programs import Program, programs_here, programs_in_jobs, send, still_running
from coherence.cluster.slurm import queue, stop_jobs
from coherence.console import run_cli


def main(what: Annotated[Literal["status", "logs", "stop"], tyro.conf.Positional], study: str = "default") -> int:
    """Say what runs where, since when and how far (status), with the last lines of each log (logs); or stop it (stop).

    A stopped run keeps its state: the command that built the study goes on from there. Exit code 1 if something of it
    could not be stopped.

    Args:
        what: status, logs or stop.
        study: the name of its config file.
    """
    if not Path("logs", study).is_dir():
        raise ValueError(f"no study {study} has been started in this folder: there is no logs/{study}")
    if what == "stop":
        return stop(study)
    print(*status(study, lines=10 if what == "logs" else 1), sep="\n")
    return 0


def status(study: str, lines: int) -> list[str]:
    """A line per controller, program and job; a program's with the last lines of its log."""
    known = controllers(study)
    told = [f"Snakemake is process {one.pid} on {one.host}" for one in known if one.alive]
    jobs = queue([one.slurm_run for one in known if one.slurm_run])
    for program in programs_here(study, jobs):
        told += [f"{program.out}: {since(program)}", *last_lines(program.log, lines)]
    writing = programs_in_jobs(study)
    for job in jobs:
        at = f"SLURM job {job.number}, {job.state.lower()}, {job.where}"
        found = writing.get(job.number)
        if found and job.state == "RUNNING":
            told += [f"{found.out}: {at}, {since(found)}", *last_lines(found.log, lines)]
        else:
            told += [f"{job.what}: {at}"]
    return told or [f"nothing is at work on {study}"]


def since(program: Program) -> str:
    """Its process, and when it began."""
    where = f"process {program.process.pid}, " if program.process else ""
    return f"{where}since {time.strftime('%d %b %H:%M:%S', time.localtime(program.since))}"


def last_lines(log: Path, count: int) -> list[str]:
    """The last lines of a log, which say the step; none where there is no log."""
    text = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
    return [f"    {line}" for line in text.splitlines()[-count:]] if count else []


def stop(study: str) -> int:
    """Stop Snakemake first, since it would start anew what ends; then programs here and SLURM jobs."""
    known = controllers(study)
    print(*status(study, lines=0), sep="\n", flush=True)
    ours = [psutil.Process(one.pid) for one in known if one.here and one.alive]
    away = [f"process {one.pid} on {one.host}" for one in known if not one.here and one.alive]
    send(ours, signal.SIGTERM)  # it begins no more jobs
    names = [one.slurm_run for one in known if one.slurm_run]
    programs = [program.process for program in programs_here(study, queue(names)) if program.process]
    send(programs, signal.SIGTERM)
    left = still_running(programs)
    stop_jobs(names)
    if names:
        send(still_running(ours, seconds=1), signal.SIGINT)  # it may look at the queue only minutes later
    left += still_running(ours)
    told = [f"not stopped: {name}" for name in [*(f"process {process.pid}" for process in left), *away]]
    print(*told or ["stopped; the command that built the study goes on from the saved states"], sep="\n")
    return 1 if told else 0


if __name__ == "__main__":
    run_cli(main)
