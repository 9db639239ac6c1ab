"""Runs as their folders tell them."""

from pathlib import Path

import pandas as pd
import pytest
from made import grpo_run, write_run

from coherence.figures.read import Ended, Run, read_outcome, read_run, tallies, unusual


def test_a_run_without_a_step_has_an_empty_table(tmp_path: Path) -> None:
    run = Run("carl", 2, {"status": "over_nan_budget"}, pd.DataFrame())
    read = read_run(write_run(tmp_path, run))
    assert read.metrics.empty and (read.arm, read.seed, read.status) == ("carl", 2, "over_nan_budget")


def test_how_a_run_ended_needs_no_metrics(tmp_path: Path) -> None:
    run = grpo_run("task", 0, [0.5])
    folder = write_run(tmp_path, run)
    (folder / "metrics.jsonl").unlink()
    assert read_outcome(folder) == Ended("task", 0, run.outcome)


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    folder = write_run(tmp_path, grpo_run("task", 0, [0.5, 0.6]))
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"step": 3, "lo')
    with pytest.raises(ValueError, match=r"task/seed0/metrics.jsonl, line 3: not valid JSON"):
        read_run(folder)


def test_a_start_that_had_not_crystallized_is_told_wherever_a_status_is() -> None:
    late = Ended("carl", 1, {"status": "ok", "started_from": "not_crystallized"})
    fine = Ended("carl", 0, {"status": "ok", "started_from": "ok"})
    assert (fine.status, late.status) == ("ok", "ok from a start that had not crystallized")
    assert unusual([fine, late]) == "Dashed: carl seed 1 (ok from a start that had not crystallized)."


def test_runs_are_tallied_by_arm() -> None:
    status = {("carl", 0): "over_nan_budget", ("carl", 1): "ok", ("carl", 2): "ok", ("task", 0): "ok"}
    assert tallies(status) == {"carl": "1 over nan budget, 2 ok", "task": "1 ok"}
