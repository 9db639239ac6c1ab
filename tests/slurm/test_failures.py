"""What can happen to a run on a cluster, each on the real thing, and how it ends; docs/cluster.md shows the table."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from slurm.cluster import ROOT, start_node, wait_for
from slurm.on_slurm import RUN, STEPS, SlurmClone, cluster_needed, slurm

cluster_needed()


def longer(clone: SlurmClone) -> None:
    """An SFT run of minutes."""
    clone.edit("config/slow.yaml", lambda text: text.replace(str(STEPS), str(100 * STEPS)))


def test_scancel(clone: SlurmClone, started: SlurmClone) -> None:
    run = clone.start()
    clone.wait_step(20)
    slurm("scancel", *clone.jobs("RUNNING"))
    assert run.end() == 0
    assert "attempt 2 goes on after step" in clone.log()
    assert clone.manifest() == started.manifest()


def test_time_limit(clone: SlurmClone) -> None:
    longer(clone)
    run = clone.start("--set-resources", "sft:runtime=3*attempt")
    clone.wait_step(20)
    clone.wait_log("attempt 2 goes on after step")
    assert "SLURM status is: 'TIMEOUT'" in run.said()
    assert "TimeLimit=00:06:00" in slurm("scontrol", "show", "job", *clone.jobs("RUNNING"))
    run.interrupt()


def test_memory(clone: SlurmClone, started: SlurmClone) -> None:
    run = clone.start("--set-resources", "sft:mem_mb=300+1500*(attempt-1)")
    assert run.end() == 0, run.said()[-3000:]
    assert "SLURM status is: 'FAILED'" in run.said()
    assert "Exceeded job memory limit" in "".join(path.read_text() for path in clone.root.rglob("rule_sft/**/*.log"))
    assert clone.manifest() == started.manifest()


def test_node_lost(clone: SlurmClone) -> None:
    longer(clone)
    run = clone.start()
    clone.wait(lambda: list(clone.root.glob("scratch/sft/*/step-*/manifest.json")))
    (job,) = clone.jobs("RUNNING")
    node = slurm("squeue", "--noheader", "--format=%N", f"--jobs={job}").strip()
    kill_node(node, job)
    clone.wait_log("attempt 2 goes on after step")
    assert clone.jobs("RUNNING") == [job], "SLURM started the same job again"
    assert slurm("squeue", "--noheader", "--format=%N", f"--jobs={job}").strip() != node
    assert "Trying to restart" not in run.said(), "no attempt is spent on it"
    run.interrupt()
    start_node(node)
    wait_for(lambda: "down" not in slurm("sinfo", "--noheader", "-N", "-o", "%T"), 60, f"{node} is not back")


def kill_node(node: str, job: str) -> None:
    """As if it had lost power: slurmd and all of the job at once."""
    steps = [p for p in psutil.process_iter(["cmdline"]) if f"[{job}." in " ".join(p.info["cmdline"] or [])]
    below = [child for step in steps for child in step.children(recursive=True)]
    daemon = psutil.Process(int((ROOT / f"slurmd.{node}.pid").read_text()))
    for process in {daemon, *steps, *below}:
        process.kill()


def test_preemption(clone: SlurmClone, started: SlurmClone) -> None:
    run = clone.start()
    clone.wait_step(20)
    slurm("sbatch", "--partition=urgent", "--nodes=2", "--exclusive", "--output=/dev/null", "--wrap=sleep 1")
    clone.wait_log("attempt 2 goes on after step")
    assert "Trying to restart" not in run.said(), "no attempt is spent on it"
    assert run.end() == 0
    assert clone.manifest() == started.manifest()


def test_interrupt_of_the_controller(clone: SlurmClone, started: SlurmClone) -> None:
    run = clone.start()
    clone.wait_step(20)
    run.interrupt()
    wait_for(lambda: not clone.jobs(), 120, "Ctrl-C left a job")
    assert clone.start().end() == 0
    assert "attempt 2 goes on after step" in clone.log()
    assert clone.manifest() == started.manifest()


def test_sigterm_of_the_controller(clone: SlurmClone, started: SlurmClone) -> None:
    run = clone.start(target="results/slow/start/seed0/manifest.json")
    clone.wait_step(20)
    run.process.terminate()
    assert run.end() == 1
    assert clone.manifest() == started.manifest(), "what runs comes to its end"
    assert not (clone.root / "results/slow/start").exists(), "nothing new is begun"
    assert clone.start().end() == 0


def test_sigkill_of_the_controller(clone: SlurmClone) -> None:
    longer(clone)
    first = clone.start()
    clone.wait_step(20)
    first.process.kill()
    first.end()
    (job,) = clone.jobs("RUNNING")
    assert clone.start().end() != 0
    assert f"Snakemake process {first.process.pid}" in first.said(), "whose lock it is"
    assert first.said().count("was killed: `snakemake --unlock --configfile config/slow.yaml`") == 1
    assert clone.snakemake("--unlock", config="config/slow.yaml").returncode == 0
    again = clone.start()
    clone.wait_log("attempt 2 goes on after step")
    assert "1 jobs of an earlier run, which was killed, are in the queue: stopping them first" in again.said()
    assert job not in clone.jobs()
    again.interrupt()


def test_jobs_are_seen_and_stopped(clone: SlurmClone) -> None:
    longer(clone)
    run = clone.start()
    clone.wait_step(20)
    seen = clone.python("scripts/jobs.py", "status", "--study", "slow").stdout
    assert f"Snakemake is process {run.process.pid}" in seen
    assert f"{RUN}: SLURM job {clone.jobs()[0]}, running, " in seen and " step " in seen
    stopped = clone.python("scripts/jobs.py", "stop", "--study", "slow")
    assert stopped.returncode == 0, stopped.stdout
    assert not clone.jobs()
    assert list(clone.root.glob("scratch/sft/*/step-*/manifest.json"))
    assert run.end() == 1
    assert "nothing is at work" in clone.python("scripts/jobs.py", "status", "--study", "slow").stdout
    again = clone.start()
    clone.wait_log("attempt 2 goes on after step")
    again.interrupt()


@contextmanager
def mounted(folder: Path, *options: str) -> Iterator[None]:
    """The folder on a file system of its own, with what it holds."""
    kept = folder.with_name("kept")
    folder.rename(kept)
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], capture_output=True, check=False).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        subprocess.run(["cp", "-a", f"{kept}/.", folder], check=True)
        subprocess.run(["mount", "-o", ",".join(("remount", *options)), folder], check=True)
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def test_full_disk(clone: SlurmClone, started: SlurmClone) -> None:
    results = clone.root / "results"
    used = int(subprocess.run(["du", "-sk", results], capture_output=True, text=True, check=True).stdout.split()[0])
    with mounted(results, f"size={used + 60}k"):
        assert clone.start("--retries", "0").end() == 1
        assert "No space left on device" in clone.log()
        assert not (clone.root / RUN / "manifest.json").exists()
        subprocess.run(["mount", "-o", "remount,size=200m", results], check=True)
        assert clone.start().end() == 0
        assert clone.manifest() == started.manifest()


def test_read_only_results(clone: SlurmClone) -> None:
    with mounted(clone.root / "results", "ro"):
        run = clone.start()
        assert run.end() == 2
        assert "error: results/slow cannot be written" in run.said()
        assert not clone.jobs()
