"""scripts/jobs.py without SLURM: what it sees, and a stop after which the run goes on."""

import subprocess
import sys
import time
from pathlib import Path

from workflow.working_copy import Clone

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
    record = clone.root / "logs/tiny/controllers.json"
    assert '"pid"' in record.read_text(), "the run that built the clone is on record"
    done = clone.snakemake("--forcerun", "sft")
    assert "was killed: `snakemake --unlock --configfile config/tiny.yaml`, then the same" in done.stderr
    assert clone.snakemake("--unlock").returncode == 0
    assert not clone.planned()
