"""Each thing that looks wrong is found where it is, and not where it is not."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from watched import noisy, watch

from coherence.observing.findings import STALE_S, findings, stale
from coherence.observing.run import Curve

ZERO, HALF = [0.0] * 60, [0.5] * 60
WRONG = {
    "not_finite": {"loss": [1.0, math.nan, 1.0], "entropy": [1.0, 1, 1]},
    "nothing_known": {"loss": [1.0, 2.0], "speed": [1.0, 1.0]},
    "entropy_zero": {"entropy": [1.0, 0.5, 0.0]},
    "entropy_above_ln_v": {"entropy": [1.0, 7.0, 3.0]},
    "coherence_trap": {
        "phi": noisy(0.9, 0.99, noise=0.002),
        "distinct_completions": noisy(40, 5),
        "task/click": noisy(0.3, 0.3, noise=0.2),
    },
    "entropy_collapse": {"entropy": noisy(2, 0.1), "reward": noisy(0.5, 0.5, noise=0.1)},
    "zero_variance_groups": {"reward": HALF, "frac_reward_zero_std": noisy(0, 0.9)},
    "same_score_groups": {"reward": HALF, "strict_zero_variance_groups": noisy(0.1, 0.9)},
    "clipped_completions": {"reward": HALF, "completions/clipped_ratio": [0.97] * 60},
    "left_gate": {"accuracy": [0.5] * 5 + [1.0] * 5 + [0.9] * 10},
    "reward_falls": {"reward": noisy(0.2, 0.8, 30) + noisy(0.8, 0.3, 30)},
    "reward_falls, just long enough": {"reward": [0.8] * 10 + [0.3] * 10},
    "accuracy_falls": {"reward": noisy(0.2, 0.8), "task/click": noisy(0.5, 0.1)},
}
"""Curves (of V = 571 tokens) by what is wrong with them."""
WELL = {
    "learning": {
        "phi": noisy(0.9, 0.97, noise=0.002),
        "entropy": noisy(0.6, 0.2),
        "distinct_completions": noisy(40, 12),
        "task/click": noisy(0.2, 0.6),
        "reward": noisy(0.3, 0.8),
        "frac_reward_zero_std": noisy(0.4, 0.1),
        "completions/clipped_ratio": noisy(0.4, 0.0),
    },
    "noise": {
        "entropy": noisy(1, 1, noise=0.3),
        "reward": noisy(0.2, 0.2, noise=0.5),
        "accuracy": noisy(0.3, 0.3, noise=0.3),
    },
    "melting": {"accuracy": ZERO, "entropy": noisy(2, 6), "loss": noisy(11, 6)},
    "short": {"accuracy": [0.9] * 10 + [0.1] * 9, "entropy": [2.0] * 10 + [0.5] * 9, "reward": [1.0] * 10 + [0.0] * 9},
    "a dip": {"reward": [0.8] * 54 + [0.2] * 6},
    "below zero": {"reward": [-1.0] * 30 + [-1.011] * 30},
    "gate held": {"accuracy": [0.5] * 5 + [1.0] * 5 + [0.985] * 10, "entropy": [1.0] * 20},
}


def _names(folder: Path, curves: dict[str, list[float]]) -> list[str]:
    return [
        finding.name for finding in findings(watch(folder, 571, **{k.replace("/", "__"): v for k, v in curves.items()}))
    ]


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_found(tmp_path: Path, name: str) -> None:
    assert name.split(",")[0] in _names(tmp_path, WRONG[name])


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", WELL)
def test_what_is_well_is_left_alone(tmp_path: Path, name: str) -> None:
    assert _names(tmp_path, WELL[name]) == []


BOUNDS = {
    "reward_falls": ([0.8] * 30 + [0.65] * 30, [0.8] * 30 + [0.63] * 30, {}, "reward"),
    "entropy_collapse": ([1.0] * 30 + [0.51] * 30, [1.0] * 30 + [0.49] * 30, {"reward": HALF}, "entropy"),
    "zero_variance_groups": ([0.49] * 60, [0.51] * 60, {"reward": HALF}, "frac_reward_zero_std"),
    "clipped_completions": ([0.49] * 60, [0.51] * 60, {"reward": HALF}, "completions/clipped_ratio"),
    "left_gate": ([1.0] * 5 + [0.981] * 5, [1.0] * 5 + [0.979] * 5, {}, "accuracy"),
}
"""A curve just inside a rule's bound, one just beyond it, the curves beside it, and its key."""


@pytest.mark.parametrize("name", BOUNDS)
def test_rules_hold_from_their_bounds_on(tmp_path: Path, name: str) -> None:
    inside, beyond, others, key = BOUNDS[name]
    assert name not in _names(tmp_path, {key: inside} | others)
    assert name in _names(tmp_path, {key: beyond} | others)


def _accused(folder: Path, base: list[float], lasting: float, runs: int = 300) -> float:
    """Share of runs told to fall: `base` with noise of standard deviation 0.2 and autocorrelation `lasting`."""
    noise = np.random.default_rng(0).normal(0, 0.2, (runs, len(base)))
    for step in range(1, len(base)):
        noise[:, step] = lasting * noise[:, step - 1] + math.sqrt(1 - lasting**2) * noise[:, step]
    run, steps = watch(folder, reward=[1.0]), np.arange(len(base))
    curves = [{"reward": Curve("reward", steps, np.array(base) + one)} for one in noise]
    return float(np.mean(["reward_falls" in [f.name for f in findings(replace(run, curves=c))] for c in curves]))


@pytest.mark.parametrize(
    ("steps", "lasting", "most"),
    [(100, 0.0, 0.01), (100, 0.5, 0.03), (100, 0.9, 0.15), (1000, 0.5, 0.01), (1000, 0.9, 0.05)],
)
def test_noise_that_lasts_is_seldom_a_fall(tmp_path: Path, steps: int, lasting: float, most: float) -> None:
    assert _accused(tmp_path, [0.5] * steps, lasting) <= most


def test_a_fall_is_seen_through_noise_that_lasts(tmp_path: Path) -> None:
    rise_and_fall = [*np.linspace(0.2, 0.8, 500), *np.linspace(0.8, 0.3, 500)]
    assert _accused(tmp_path, rise_and_fall, 0.5) > 0.9


def test_the_evidence_names_steps_and_numbers(tmp_path: Path) -> None:
    run = watch(tmp_path, loss=[1, 2, math.nan, math.inf], entropy=[1, 1, 1, 1])
    (found,) = findings(run)
    assert found.evidence == "2 of 4 logged values, the first at step 3" and found.sentence.startswith("loss")


def test_a_trap_needs_a_task_that_gains_nothing(tmp_path: Path) -> None:
    curves = WRONG["coherence_trap"] | {"task/click": noisy(0.2, 0.6)}
    assert "coherence_trap" not in _names(tmp_path, curves)


def test_a_run_that_ended_badly_says_so(tmp_path: Path) -> None:
    (tmp_path / "outcome.json").write_text(json.dumps({"status": "over_nan_budget"}))
    (found,) = findings(watch(tmp_path, entropy=[1.0, 1.0]))
    assert "over_nan_budget" in found.sentence


def test_a_restart_is_told(tmp_path: Path) -> None:
    run = watch(tmp_path, entropy=[1.0, 1.0])
    for restarts, told in (([2], "2"), (range(2, 103), "2, 3, 4 and 98 times more")):
        again = replace(run, log=replace(run.log, restarts=restarts))
        assert [finding.evidence for finding in findings(again)] == [f"back to step {told}"]


def test_only_a_run_that_has_not_ended_grows_stale(tmp_path: Path) -> None:
    run = watch(tmp_path, entropy=[1.0, 1.0])
    assert [f.evidence for f in stale(run, 2 * STALE_S)] == ["last written 6 minutes ago"]
    assert not [*stale(run, STALE_S / 2)]
    (tmp_path / "manifest.json").write_text("{}")
    assert not [*stale(watch(tmp_path, entropy=[1.0, 1.0]), 2 * STALE_S)]


def test_accuracy_in_percent_is_named_and_fires_no_gate(tmp_path: Path) -> None:
    run = watch(tmp_path, accuracy=[10, 30, 50, 55, 55, 56])
    assert [finding.name for finding in findings(run)] == ["accuracy_above_1"]
    assert run.gate is not None and not run.gate.fired
