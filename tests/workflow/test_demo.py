"""config/demo.yaml from start to end, as `make demo` runs it."""

import json
from pathlib import Path

import pandas as pd
from workflow.working_copy import copy_repository


def test_the_demo_runs_from_base_model_to_figures(tmp_path: Path) -> None:
    clone = copy_repository(tmp_path / "clone")
    done = clone.snakemake("all", config="config/demo.yaml")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    for name in (
        "phi_trajectories.png",
        "sft_phases.svg",
        "arms.md",
        "phase_table.tex",
        "constants.csv",
        "report.html",
    ):
        assert (clone.root / "figs/demo" / name).stat().st_size > 100
    outcome = json.loads((clone.root / "results/demo/grpo/task/seed0/outcome.json").read_text())
    assert (outcome["status"], outcome["statistics_source"]) == ("ok", "generation")
    scores = pd.read_parquet(clone.root / "results/demo/scores/scores.parquet")
    strict = scores[scores["mode"] == "greedy"].groupby("arm")["strict"].mean()
    assert strict["sft"] > 0.2, "the demo's SFT has learned its task"
    verified = clone.python("scripts/verify.py", "--configfile", "config/demo.yaml")
    assert verified.returncode == 0, verified.stdout
    assert not clone.planned(config="config/demo.yaml")
