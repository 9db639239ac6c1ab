"""GRPO runs: what is logged, what is stored, how a run that cannot be scored ends."""

import json
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from golden.trajectories import GRPO
from repository import read_jsonl

from coherence.config.compute import Compute
from coherence.config.grpo import Arm, GrpoConfig
from coherence.models.load import load_model, load_tokenizer
from coherence.tasks.rewards import TASK_REWARDS
from coherence.training import rewards
from coherence.training.grpo import train
from coherence.training.rewards import carl_reward

CPU = Compute(device="cpu", bf16=False)
CONFIG = GRPO | {"steps": 3, "store_every": 2}


def run(tiny: SimpleNamespace, tuned: Path, folder: Path, seed: int = 0, **changes: object) -> dict:
    folder.mkdir()
    config = GrpoConfig.parse(CONFIG | changes, "grpo")
    arm = Arm.parse(CONFIG["arms"]["both"], "arm")
    models = (load_model(tuned, "cpu"), load_model(tuned, "cpu"))
    return train(config, CPU, arm, "grounding", *models, load_tokenizer(tuned), tiny.rows["grpo"], folder, seed)


def test_same_seed_twice_is_bit_identical_and_learns_something(
    tiny: SimpleNamespace, tuned: Path, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        assert run(tiny, tuned, tmp_path / name)["status"] == "ok"
    run(tiny, tuned, tmp_path / "c", seed=1)
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in "abc"]
    assert weights[0] == weights[1] != weights[2]
    assert weights[0] != (tuned / "model.safetensors").read_bytes(), "nothing was learned, so nothing was compared"
    for name in ("metrics.jsonl", "samples.parquet", "outcome.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


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
    assert "step_time" not in lines[0]


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


def test_a_run_that_diverges_is_stopped_and_crashes_nothing(tiny: SimpleNamespace, tuned: Path, tmp_path: Path) -> None:
    outcome = run(tiny, tuned, tmp_path / "run", learning_rate=1e38)
    assert outcome["status"] == "over_nan_budget"
    assert outcome["unscored_completions"] > 0 or outcome["diverged"]


def test_too_few_prompts_are_refused_before_anything_is_trained(
    tiny: SimpleNamespace, tuned: Path, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="only 216 prompts"):
        run(tiny, tuned, tmp_path / "run", prompts_per_step=1000)


def test_special_tokens_and_unended_completions_earn_nothing(tiny: SimpleNamespace) -> None:
    row, tokenizer = tiny.rows["grpo"][0], tiny.tokenizer
    gold, end = tokenizer(row["completion"])["input_ids"], tokenizer.eos_token_id
    start = tokenizer.convert_tokens_to_ids("<|im_start|>")
    click = rewards.task_reward("click", TASK_REWARDS["grounding"]["click"], tokenizer)
    ids = [[*gold, end], gold, [*gold, start, end], [gold[0], start, *gold[1:], end], [end]]
    assert click(completion_ids=ids, answer=[json.dumps(row["answer"])] * 5) == [1.0, 0.0, 0.0, 0.0, 0.0]


def test_carl_is_a_pure_function_of_the_statistics_that_it_is_given() -> None:
    reward = carl_reward(vocab_size=100)
    logps, entropies = [[-0.1, -0.2, -0.3], [-2.0], []], [[0.1, 2.0, 0.3], [1.0], []]
    scores = reward(token_logps=logps, token_entropies=entropies, completions=["a", "b", ""])
    assert math.isnan(scores[2]) and np.isfinite(scores[:2]).all()
    swapped = reward(token_logps=[logps[1], logps[0]], token_entropies=[entropies[1], entropies[0]])
    assert swapped == [scores[1], scores[0]]
