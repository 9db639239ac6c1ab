"""What is at work on a study, here and in the SLURM queue: see it, read its logs, stop it so that it can go on."""

import signal
import time
from pathlib import Path
from typing import Annotated, Literal

import psutil
import tyro

from coherence.console import run_cli
from coherence.jobs import Job, Writer, controllers, queue, stop_here, stop_jobs, writers


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
    jobs = {job.number: job for job in queue([one.slurm_run for one in known if one.slurm_run])}
    told = [
        f"Snakemake is process {one.pid} on {one.host}" + ("" if one.here else " (whether it runs is seen there)")
        for one in known
        if one.alive
    ]
    for writer in writers(study):
        job = jobs.pop(writer.slurm_job or "", None)
        if job is not None or (writer.alive and not writer.slurm_job):
            told += [f"{writer.out}: {place(writer, job)}", *last_lines(writer.log, lines)]
    told += [f"{job.what}: SLURM job {job.number}, {job.state} {job.where}" for job in jobs.values()]
    return told or [f"nothing is at work on {study}"]


def place(writer: Writer, job: Job | None) -> str:
    """Where a program runs and since when."""
    since = time.strftime("%d %b %H:%M:%S", time.localtime(writer.since))
    where = f"SLURM job {job.number} on {job.where}" if job else f"process {writer.pid}"
    return f"{where}, since {since}"


def last_lines(log: Path, count: int) -> list[str]:
    """The last lines of a log, which say the step; none where there is no log."""
    text = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
    return [f"    {line}" for line in text.splitlines()[-count:]]


def stop(study: str) -> int:
    """Stop Snakemake first, since it would start anew what ends; then programs here and SLURM jobs."""
    known = controllers(study)
    print(*status(study, lines=0), sep="\n", flush=True)
    ours = [psutil.Process(one.pid) for one in known if one.here and one.alive]
    for process in ours:
        process.send_signal(signal.SIGTERM)  # it begins no more jobs
    left = [f"{writer.out}: process {writer.pid} still runs" for writer in stop_here(study)]
    names = [one.slurm_run for one in known if one.slurm_run]
    stop_jobs(names)
    for process in psutil.wait_procs(ours, timeout=1 if names else 30)[1]:
        process.send_signal(signal.SIGINT)  # it may look at the queue only minutes later
    left += [f"process {process.pid} still runs" for process in psutil.wait_procs(ours, timeout=30)[1]]
    left += [f"Snakemake was started on {one.host}: stop process {one.pid} there" for one in known if not one.here]
    print(*left or ["stopped; the command that built the study goes on from the saved states"], sep="\n")
    return 1 if left else 0


if __name__ == "__main__":
    run_cli(main)
