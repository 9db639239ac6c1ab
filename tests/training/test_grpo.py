"""GRPO runs: what is logged, what is stored, how a run that cannot be scored ends."""

import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from repository import read_jsonl

from coherence.config.grpo import Arm, CarlWeights, GrpoConfig
from coherence.models.load import load_model, load_tokenizer
from coherence.training import rewards
from coherence.training.grpo import train
from coherence.training.rewards import carl_reward

CONFIG = {
    "learning_rate": 1e-3,
    "steps": 3,
    "prompts_per_step": 4,
    "num_generations": 4,
    "temperature": 1.0,
    "max_completion_length": 12,
    "beta": 0.0,
    "loss_type": "dapo",
    "scale_rewards": "none",
    "adam_beta2": 0.999,
    "max_grad_norm": 1.0,
    "carl_weights": {"multiscale": 0.5, "cloud_quality": 0.3, "discontinuity": 0.2},
    "require_crystallized": False,
    "max_unscored_share": 0.01,
    "store_every": 2,
    "start": {"prompts": 4, "min_accuracy": 0, "max_accuracy": 1, "max_zero_variance": 1},
    "arms": {"both": {"rewards": {"format": 0.2, "distance": 1.0, "carl": 0.5}}},
}


def run(tiny: SimpleNamespace, tuned: Path, folder: Path, seed: int = 0, **changes: object) -> dict:
    folder.mkdir()
    config = GrpoConfig.parse(CONFIG | changes, "grpo")
    arm = Arm.parse(CONFIG["arms"]["both"], "arm")
    models = (load_model(tuned), load_model(tuned))
    return train(config, arm, "grounding", *models, load_tokenizer(tuned), tiny.rows["grpo"], folder, seed)


def test_same_seed_twice_is_bit_identical_and_learns_something(
    tiny: SimpleNamespace, tuned: Path, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        assert run(tiny, tuned, tmp_path / name)["status"] == "ok"
    run(tiny, tuned, tmp_path / "c", seed=1)
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in "abc"]
    assert weights[0] == weights[1] != weights[2]
    assert weights[0] != (tuned / "model.safetensors").read_bytes(), "nothing was learned, so nothing was compared"
    a, b = (read_jsonl(tmp_path / name / "metrics.jsonl") for name in "ab")
    assert [without_times(line) for line in a] == [without_times(line) for line in b]


def without_times(line: dict) -> dict:
    return {key: value for key, value in line.items() if "time" not in key}


def test_metrics_and_samples_agree_with_each_other(tiny: SimpleNamespace, tuned: Path, tmp_path: Path) -> None:
    run(tiny, tuned, tmp_path / "run")
    lines = read_jsonl(tmp_path / "run/metrics.jsonl")
    samples = pd.read_parquet(tmp_path / "run/samples.parquet")
    assert [line["step"] for line in lines] == [1, 2, 3]
    assert sorted(set(samples["step"])) == [1, 3]
    assert lines[0]["kl_to_start"] == pytest.approx(0.0, abs=1e-6)
    assert lines[2]["kl_to_start"] > 1e-7
    for line in lines:
        assert line["rewards/carl/mean"] == pytest.approx(line["coherence/carl"], abs=1e-5)
        assert line["rewards/format/mean"] == pytest.approx(line["task/format"], abs=1e-6)
        phi = 1 - line["coherence/entropy"] / math.log(len(tiny.tokenizer))
        assert line["coherence/phi"] == pytest.approx(phi, abs=1e-6)
    first = samples.iloc[0]
    assert len(first["ids"]) == len(first["logp"]) == len(first["entropy"])
    assert first["completion"] == tiny.tokenizer.decode(first["ids"], skip_special_tokens=True)


def test_unscored_completions_are_counted_and_end_the_run(
    tiny: SimpleNamespace, tuned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = rewards.carl_components

    def broken(logps: list, *rest: object) -> object:
        return honest([[math.nan] * len(row) for row in logps], *rest)

    monkeypatch.setattr(rewards, "carl_components", broken)
    outcome = run(tiny, tuned, tmp_path / "run", steps=5)
    assert outcome["status"] == "over_nan_budget"
    assert outcome["unscored_completions"] == outcome["completions"] == 16
    assert outcome["steps"] == 1


def test_carl_at_another_temperature_is_refused(tiny: SimpleNamespace, tuned: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="temperature"):
        run(tiny, tuned, tmp_path / "run", temperature=0.7)


def test_carl_is_a_pure_function_of_the_statistics_that_it_is_given() -> None:
    weights = CarlWeights(multiscale=0.5, cloud_quality=0.3, discontinuity=0.2)
    reward = carl_reward(weights, vocab_size=100)
    logps, entropies = [[-0.1, -0.2, -0.3], [-2.0], []], [[0.1, 2.0, 0.3], [1.0], []]
    scores = reward(token_logps=logps, token_entropies=entropies, completions=["a", "b", ""])
    assert math.isnan(scores[2]) and np.isfinite(scores[:2]).all()
    swapped = reward(token_logps=[logps[1], logps[0]], token_entropies=[entropies[1], entropies[0]])
    assert swapped == [scores[1], scores[0]]
