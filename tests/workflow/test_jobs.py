"""scripts/jobs.py without SLURM: what it sees, and a stop after which the run goes on."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from workflow.working_copy import Clone

from coherence.cluster.controllers import controllers, record_start
from coherence.cluster.programs import programs_here
from coherence.cluster.slurm import Job
from coherence.provenance.lease import BEAT_S, STALE_S

RUN = "results/tiny/sft/seed0"
LONG = ("max_steps: 25", "max_steps: 100000, gate: {threshold: 1.0, window: 1000, count: 1000}")


def wait_for(clone: Clone, text: str) -> str:
    for _ in range(600):
        seen = clone.python("scripts/jobs.py", "status", "--study", "tiny").stdout
        if text in seen:
            return seen
        time.sleep(0.2)
    raise TimeoutError(seen)


def test_a_local_run_is_seen_and_stopped_and_goes_on(clone: Clone) -> None:
    clone.edit("config/tiny.yaml", lambda text: text.replace(*LONG))
    program = str(Path(sys.executable).parent / "snakemake")
    options = ["--cores", "1", "--retries", "2", "--configfile", "config/tiny.yaml"]
    command = [program, *options, "--", f"{RUN}/manifest.json"]
    log = Path(clone.root, "snakemake.txt")
    with log.open("wb") as file:
        run = subprocess.Popen(command, cwd=clone.root, stdout=file, stderr=subprocess.STDOUT, start_new_session=True)
    seen = wait_for(clone, "step ")
    assert f"Snakemake is process {run.pid} on" in seen
    assert f"{RUN}: process " in seen
    again = clone.snakemake(f"{RUN}/manifest.json")
    assert again.stderr.count(f"locked: Snakemake process {run.pid}") == 1 and "builds this study" in again.stderr
    stopped = clone.python("scripts/jobs.py", "stop", "--study", "tiny")
    assert stopped.returncode == 0, stopped.stdout + stopped.stderr
    assert run.wait(timeout=60) == 1, "Snakemake does not try again what was stopped"
    assert "stopped by SIGTERM after step" in (clone.root / "logs/tiny/sft/seed0.log").read_text()
    (state,) = clone.root.glob("scratch/sft/*/step-*/manifest.json")
    assert int(state.parent.name.removeprefix("step-")) > 0
    assert clone.python("scripts/jobs.py", "status", "--study", "tiny").stdout == "nothing is at work on tiny\n"
    assert "there is no logs/none" in clone.python("scripts/jobs.py", "logs", "--study", "none").stderr


def test_the_lock_of_a_killed_snakemake_is_explained(clone: Clone) -> None:
    (clone.root / ".snakemake/locks").mkdir(exist_ok=True)
    (clone.root / ".snakemake/locks/0.output.lock").write_text(f"{RUN}/manifest.json\n")
    assert list(clone.root.glob("logs/tiny/controllers/*.json")), "the run that built the clone is on record"
    done = clone.snakemake("--forcerun", "sft")
    assert "was killed: `snakemake --unlock --configfile config/tiny.yaml`, then the same" in done.stderr
    assert clone.snakemake("--unlock").returncode == 0
    assert not clone.planned()


def edit_record(**change: object) -> Path:
    """The one record of study s, as a process with these other values would have written it."""
    (path,) = Path("logs/s/controllers").glob("*.json")
    new = json.loads(path.read_text()) | change
    path.unlink()
    path = path.with_name(f"{new['host']}-{new['pid']}.json")
    path.write_text(json.dumps(new))
    return path


def alive() -> list[bool]:
    return [one.alive for one in controllers("s")]


def test_who_is_alive_is_known_here_and_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("coherence.cluster.controllers.BEAT_S", 0.05)
    record_start("s", None)
    assert alive() == [True]
    this = psutil.Process().create_time()
    edit_record(started=this - 10 * STALE_S)
    assert alive() == [False], "another process has its number now"
    path = edit_record(host="elsewhere", started=this)
    assert alive() == [True], "without any job in the queue"
    os.utime(path, (0, 0))
    assert BEAT_S < STALE_S and alive() == [False]
    record_start("s", None)
    assert [one.host == "elsewhere" for one in controllers("s")] == [False], "the dead are forgotten"
    (path,) = Path("logs/s/controllers").glob("*.json")
    os.utime(path, (0, 0))
    for _ in range(100):
        time.sleep(0.05)
        if path.stat().st_mtime > 0:
            break
    assert path.stat().st_mtime > 0, "a controller touches its record"


def test_a_program_in_an_allocation_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    command = [sys.executable, "-c", "input()", "--out", "results/s/base"]
    with subprocess.Popen(command, env=os.environ | {"SLURM_JOB_ID": "7"}, stdin=subprocess.PIPE) as process:
        while "--out" not in psutil.Process(process.pid).cmdline():
            time.sleep(0.01)
        seen = [program.process.pid for program in programs_here("s", []) if program.process]
        ours = programs_here("s", [Job("7", "RUNNING", "base", "node")])
        process.communicate(b"\n")
    assert seen == [process.pid]
    assert not ours, "a job of Snakemake's own is seen in the queue"
