"""Training gives the numbers that it gave: no single step far off, and no systematic drift."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import trajectories

LARGEST, DRIFT = 2e-3, 2e-4
"""Relative bounds on one value and on the mean residual: other CPUs round otherwise, other mathematics is further."""


def compare(found: list[dict[str, float]], held: list[dict[str, float]]) -> None:
    assert len(found) == len(held)
    for key in held[0]:
        a, b = (np.array([line[key] for line in lines]) for lines in (found, held))
        scale = max(1e-3, float(np.abs(b).max()))
        assert np.abs(a - b).max() / scale < LARGEST, f"{key}: {a} but held {b}"
        assert abs((a - b).mean()) / scale < DRIFT, f"{key} drifts: {a} but held {b}"


def test_sft_follows_its_golden_trajectory(tiny: SimpleNamespace, tmp_path: Path) -> None:
    compare(trajectories.sft(tiny, tmp_path / "sft"), json.loads((trajectories.HERE / "sft.json").read_text()))


def test_grpo_follows_its_golden_trajectory(tiny: SimpleNamespace, tmp_path: Path) -> None:
    held = json.loads((trajectories.HERE / "grpo.json").read_text())
    metrics, completions = trajectories.grpo(tiny, tmp_path / "grpo", held["completions"])
    assert completions == held["completions"]
    compare(metrics, held["metrics"])
    rewards = [line["reward"] for line in metrics]
    assert len(set(rewards)) > 1 and metrics[-1]["kl_to_start"] > 1e-6, "the replay must train, or it holds nothing"
