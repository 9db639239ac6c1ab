"""The contract with TRL's private methods: a TRL that breaks it fails here, loudly."""

import inspect
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer

from coherence.config.compute import Compute
from coherence.core.order_parameter import token_statistics
from coherence.models.load import load_model, prompt_ids
from coherence.training.arguments import common_arguments
from coherence.training.trl_seam import Rollouts, TokenStatisticsMixin


class Probe(TokenStatisticsMixin):
    """Keeps what it sees."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        self.seen: list[Rollouts] = []
        super().__init__(*args, **kwargs)

    def observe_rollouts(self, rollouts: Rollouts) -> dict[str, float]:
        self.seen.append(rollouts)
        return {"observed": float(len(self.seen))}


def make(
    tiny: SimpleNamespace, tuned: Path, folder: Path, steps: int = 1, **changes: object
) -> tuple[Probe, list[dict]]:
    """A trainer on the tiny model, and the keyword arguments that its reward function has been called with."""
    calls: list[dict] = []

    def reward(completions: list[str], **columns: object) -> list[float]:
        calls.append({"completions": completions, **columns})
        return [float(len(text) % 3) for text in completions]

    arguments = {
        **common_arguments(1e-3, 0.999, Compute(device="cpu", bf16=False), folder, seed=0),
        "max_steps": steps,
        "per_device_train_batch_size": 8,
        "num_generations": 4,
        "max_completion_length": 12,
        **changes,
    }
    rows = [{"prompt": row["prompt"], "answer": json.dumps(row["answer"])} for row in tiny.rows["grpo"]]
    model = load_model(tuned, "cpu")
    trainer = Probe(
        model=model,
        reward_funcs=[reward],
        args=GRPOConfig(**arguments),
        train_dataset=Dataset.from_list(rows),
        processing_class=tiny.tokenizer,
    )
    return trainer, calls


def forwards(model: torch.nn.Module) -> list[tuple[int, bool]]:
    """(positions, with gradient) of each forward through the backbone, as they come."""
    seen: list[tuple[int, bool]] = []
    model.model.register_forward_hook(
        lambda module, args, output: seen.append((output.last_hidden_state.shape[1], torch.is_grad_enabled()))
    )
    return seen


def test_private_methods_have_the_signatures_that_the_seam_relies_on() -> None:
    scoring = list(inspect.signature(GRPOTrainer._get_per_token_logps_and_entropies).parameters)
    assert scoring[:7] == [
        "self", "model", "input_ids", "attention_mask", "logits_to_keep", "batch_size", "compute_entropy",
    ]  # fmt: skip
    assert list(inspect.signature(GRPOTrainer._calculate_rewards).parameters) == [
        "self", "inputs", "prompts", "completions", "completion_ids_list",
    ]  # fmt: skip
    assert list(inspect.signature(GRPOTrainer._generate_and_score_completions).parameters) == ["self", "inputs"]
    assert list(inspect.signature(GRPOTrainer._log_metric).parameters) == ["self", "name", "value"]


@pytest.mark.parametrize("steps_per_generation", [1, 2])
def test_rewards_get_the_sampled_tokens_own_statistics_in_context(
    tiny: SimpleNamespace, tuned: Path, tmp_path: Path, steps_per_generation: int
) -> None:
    trainer, calls = make(tiny, tuned, tmp_path, steps_per_generation=steps_per_generation)
    trainer.train()
    rollouts, model = trainer.seen[0], load_model(tuned, "cpu")
    assert calls[0]["token_logps"] == rollouts.token_logps
    assert calls[0]["token_entropies"] == rollouts.token_entropies
    assert len({len(ids) for ids in rollouts.completion_ids}) > 1, "the test needs ragged completions"
    for i, ids in enumerate(rollouts.completion_ids):
        prompt = prompt_ids(tiny.tokenizer, rollouts.rows[i]["prompt"])
        with torch.no_grad():
            logits = model(torch.tensor([prompt + ids])).logits[0, len(prompt) - 1 : -1].double().numpy()
        offline = token_statistics(logits, np.array(ids))
        assert len(rollouts.token_logps[i]) == len(rollouts.token_entropies[i]) == len(ids)
        np.testing.assert_allclose(rollouts.token_logps[i], offline.logp, atol=2e-5)
        np.testing.assert_allclose(rollouts.token_entropies[i], offline.entropy, atol=2e-5)


def test_one_batched_scoring_pass_and_no_more(tiny: SimpleNamespace, tuned: Path, tmp_path: Path) -> None:
    trainer, _ = make(tiny, tuned, tmp_path, steps=2)
    seen = forwards(trainer.model)
    trainer.train()
    full = [entry for entry in seen if entry[0] > 1 and entry[0] >= max(n for n, _ in seen) - 12]
    no_gradient = [entry for entry in full if not entry[1]]
    with_gradient = [entry for entry in full if entry[1]]
    prefills = 2  # generation reads each step's prompts once
    assert len(with_gradient) == 2
    assert len(no_gradient) - prefills == 2, "one scoring pass per step"


def test_no_pass_is_added_where_trl_scores_by_itself(tiny: SimpleNamespace, tuned: Path, tmp_path: Path) -> None:
    counts = []
    for cls in (GRPOTrainer, TokenStatisticsMixin):
        trainer, _ = make(tiny, tuned, tmp_path, steps=2, steps_per_generation=2)
        trainer.__class__ = type("Counted", (cls,), {})
        seen = forwards(trainer.model)
        trainer.train()
        counts.append(len(seen))
    assert counts[0] == counts[1]


def test_iterations_are_put_back_and_metrics_logged(tiny: SimpleNamespace, tuned: Path, tmp_path: Path) -> None:
    trainer, _ = make(tiny, tuned, tmp_path)
    trainer.train()
    assert trainer.num_iterations == 1
    assert [line["observed"] for line in trainer.state.log_history if "observed" in line] == [1.0]


def test_the_start_model_scores_the_same_tokens(tiny: SimpleNamespace, tuned: Path, tmp_path: Path) -> None:
    trainer, _ = make(tiny, tuned, tmp_path, steps=2)
    trainer.set_start_model(load_model(tuned, "cpu"))
    trainer.train()
    first, second = (
        np.concatenate(rollouts.token_logps) - np.concatenate(rollouts.start_logps) for rollouts in trainer.seen
    )
    np.testing.assert_allclose(first, 0.0, atol=1e-6)
    assert np.abs(second).max() > 1e-4


def test_a_trl_without_the_scoring_pass_is_an_error_not_a_zero(
    tiny: SimpleNamespace, tuned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer, _ = make(tiny, tuned, tmp_path)
    monkeypatch.setattr(Probe, "_get_per_token_logps_and_entropies", GRPOTrainer._get_per_token_logps_and_entropies)
    with pytest.raises(RuntimeError, match="no scoring pass"):
        trainer.train()


def test_prompts_are_tokenized_as_everywhere_else(tiny: SimpleNamespace, tuned: Path, tmp_path: Path) -> None:
    trainer, _ = make(tiny, tuned, tmp_path)
    prompts = [row["prompt"] for row in tiny.rows["grpo"][:3]]
    assert trainer._tokenize_prompts(prompts)[0] == [prompt_ids(tiny.tokenizer, prompt) for prompt in prompts]


def test_a_completion_that_lacks_one_reward_is_not_paid_the_others(
    tiny: SimpleNamespace, tuned: Path, tmp_path: Path
) -> None:
    trainer, _ = make(tiny, tuned, tmp_path)
    full = torch.tensor([[1.0, 2.0], [1.0, torch.nan]])
    trainer._statistics_BC = (torch.zeros(2, 3), torch.zeros(2, 3))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(GRPOTrainer, "_calculate_rewards", lambda *args: full)
        paid = trainer._calculate_rewards([{}, {}], ["p", "p"], ["a", "b"], [[1, 2], [3]])
    assert torch.equal(paid.isnan(), torch.tensor([[False, False], [True, True]]))
