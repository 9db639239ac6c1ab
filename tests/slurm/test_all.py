"""`snakemake --profile slurm all` as a user types it, and one run that is stopped and goes on."""

import json
import re

import pytest
from slurm.cluster import wait_for
from slurm.on_slurm import Controller, SlurmClone, cluster_needed, slurm
from workflow.working_copy import copy_repository

cluster_needed()


def test_the_demo_runs_on_slurm(tmp_path_factory: pytest.TempPathFactory) -> None:
    clone = copy_repository(tmp_path_factory.mktemp("demo") / "clone")
    run = Controller(clone.root, "all", "--configfile", "config/demo.yaml")
    assert run.end() == 0, run.said()[-3000:]
    assert "executor slurm, profile slurm, CPU partition cpu, GPU partition none asked for" in run.said()
    assert (clone.root / "figs/demo/report.html").stat().st_size > 100
    submitted = run.said().count("has been submitted with SLURM jobid")
    cards = list((clone.root / "results/demo").rglob("card.json"))
    assert submitted == len(cards), "every artifact was made by a job of its own"
    assert not list((clone.root / "logs/slurm").rglob("rule_arms")), "figures are drawn by the controller"
    verified = clone.python("scripts/verify.py", "--configfile", "config/demo.yaml")
    assert verified.returncode == 0, verified.stdout
    assert not clone.planned(config="config/demo.yaml"), "nothing runs again, with or without SLURM"


def test_a_stopped_run_goes_on_and_ends_with_the_same_bytes(clone: SlurmClone, started: SlurmClone) -> None:
    run = clone.start()
    clone.wait_step(30)
    (job,) = clone.jobs("RUNNING")
    slurm("scancel", job)
    clone.wait_log("attempt 2 goes on after step")
    assert run.end() == 0, run.said()[-3000:]
    assert clone.manifest() == started.manifest()
    card = json.loads((clone.root / "results/slow/sft/seed0/card.json").read_text())
    assert [attempt["from_step"] >= 30 for attempt in card["attempts"]] == [False, True]
    wait_for(lambda: not clone.jobs(), 30, "a job is left in the queue")


def test_a_model_asks_for_a_gpu_of_the_site(clone: SlurmClone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_GPU_MODEL", "h100")
    slurm("scontrol", "update", "PartitionName=gpu", "State=DOWN")  # the job is placed, and waits
    clone.edit("config/slow.yaml", lambda text: text + "compute: {device: cuda, bf16: true}\n")
    run = clone.start(target="results/slow/base/manifest.json")
    try:
        clone.wait(clone.jobs)
        assert slurm("squeue", "--noheader", "--format=%P|%k", "--jobs", *clone.jobs()) == "gpu|rule_base\n"
        assert re.search("gpu:h100[:=]1", slurm("scontrol", "show", "job", *clone.jobs()))
        run.interrupt()
    finally:
        slurm("scontrol", "update", "PartitionName=gpu", "State=UP")
    wait_for(lambda: not clone.jobs(), 60, "Ctrl-C left a job")
