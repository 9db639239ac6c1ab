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
from coherence.models.load import load_model, prompt_ids, save_model
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


def test_private_methods_have_the_signatures_that_the_seam_relies_on() -> None:
    scoring = list(inspect.signature(GRPOTrainer._get_per_token_logps_and_entropies).parameters)
    assert scoring[:7] == [
        "self", "model", "input_ids", "attention_mask", "logits_to_keep", "batch_size", "compute_entropy",
    ]  # fmt: skip
    assert list(inspect.signature(GRPOTrainer._calculate_rewards).parameters) == [
        "self", "inputs", "prompts", "completions", "completion_ids_list",
    ]  # fmt: skip
    assert list(inspect.signature(GRPOTrainer._generate_single_turn).parameters)[:2] == ["self", "prompt_ids"]
    assert list(inspect.signature(GRPOTrainer._generate_and_score_completions).parameters) == ["self", "inputs"]
    assert list(inspect.signature(GRPOTrainer._log_metric).parameters) == ["self", "name", "value"]


SOURCES = {"scoring": {"steps_per_generation": 2}, "generation": {}, "extra pass": {}}
"""Each way to the statistics, and the TRL arguments that lead to it."""


def check_against_offline(rollouts: Rollouts, checkpoint: Path, tiny: SimpleNamespace) -> None:
    """Every token's statistics equal those of an unpadded float64 recomputation at temperature 1."""
    model, size = load_model(checkpoint, "cpu"), len(tiny.tokenizer)
    for i, ids in enumerate(rollouts.completion_ids):
        prompt = prompt_ids(tiny.tokenizer, rollouts.rows[i]["prompt"])
        with torch.no_grad():
            logits = model(torch.tensor([prompt + ids])).logits[0, len(prompt) - 1 : -1].double().numpy()
        offline = token_statistics(logits, np.array(ids), vocab_size=size)
        assert len(rollouts.token_logps[i]) == len(rollouts.token_entropies[i]) == len(ids)
        np.testing.assert_allclose(rollouts.token_logps[i], offline.logp, atol=2e-5)
        np.testing.assert_allclose(rollouts.token_entropies[i], offline.entropy, atol=2e-5)


@pytest.fixture
def padded(tuned: Path, tiny: SimpleNamespace, tmp_path: Path) -> Path:
    """The tuned model with 64 dead rows in its head, as loud as its real ones."""
    model = load_model(tuned, "cpu")
    size = len(tiny.tokenizer)
    model.resize_token_embeddings(size + 64, mean_resizing=False)
    with torch.no_grad():
        model.get_output_embeddings().weight[size:] = model.get_output_embeddings().weight[:64]
    save_model(model, tiny.tokenizer, tmp_path / "padded")
    return tmp_path / "padded"


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize("head", ["plain", "padded"])
def test_rewards_get_the_sampled_tokens_own_statistics_in_context(
    tiny: SimpleNamespace, tuned: Path, padded: Path, tmp_path: Path, source: str, temperature: float, head: str
) -> None:
    checkpoint = tuned if head == "plain" else padded
    trainer, calls = make(tiny, checkpoint, tmp_path, temperature=temperature, **SOURCES[source])
    assert trainer.statistics_source() == {"extra pass": "generation"}.get(source, source), "chosen by itself"
    trainer.source = source
    trainer.train()
    rollouts = trainer.seen[0]
    assert calls[0]["token_logps"] == rollouts.token_logps
    assert calls[0]["token_entropies"] == rollouts.token_entropies
    assert len({len(ids) for ids in rollouts.completion_ids}) > 1, "the test needs ragged completions"
    inside = all(i < len(tiny.tokenizer) for ids in rollouts.completion_ids for i in ids)
    if inside:
        check_against_offline(rollouts, checkpoint, tiny)
    else:
        assert any(np.isnan(np.concatenate(rollouts.token_logps))), "a dead row that was sampled has no statistics"


def count_forwards(trainer: GRPOTrainer) -> int:
    """Forwards of the backbone in a whole run."""
    calls: list[int] = []
    trainer.model.model.register_forward_hook(lambda *_: calls.append(1))
    trainer.train()
    return len(calls)


@pytest.mark.parametrize(("source", "added"), [("scoring", 0), ("generation", 0), ("extra pass", 1)])
def test_how_many_forwards_each_way_adds(
    tiny: SimpleNamespace, tuned: Path, tmp_path: Path, source: str, added: int
) -> None:
    steps, counts = 2, []
    for cls in (GRPOTrainer, TokenStatisticsMixin):
        trainer, _ = make(tiny, tuned, tmp_path, steps=steps, **SOURCES[source])
        trainer.__class__ = type("Counted", (cls,), {"source": source})
        counts.append(count_forwards(trainer))
    assert counts[1] - counts[0] == added * steps


class Engine:
    """Stands in for vLLM: ids from elsewhere with the log-probabilities that it claims for them."""

    def sync_weights(self) -> None: ...

    def generate(self, prompts: list[list[int]], **kwargs: object) -> tuple[object, list[list[int]], object, object]:
        ids = [[20 + i, *range(30, 30 + i % 3), 1] for i in range(len(prompts))]
        return None, ids, [[[-3.0] for _ in row] for row in ids], None


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_what_vllm_samples_is_scored_by_trl_and_read_there_for_nothing(
    tiny: SimpleNamespace, tuned: Path, tmp_path: Path, temperature: float
) -> None:
    counts = []
    for cls in (GRPOTrainer, Probe):
        trainer, _ = make(tiny, tuned, tmp_path, steps=2, temperature=temperature)
        trainer.__class__, trainer.use_vllm = cls, True
        trainer.vllm_generation, trainer._last_loaded_step = Engine(), -1
        counts.append(count_forwards(trainer))
    assert trainer.statistics_source() == "scoring" and counts[0] == counts[1] - (temperature != 1.0)
    check_against_offline(trainer.seen[0], tuned, tiny)


def test_iterations_are_put_back_and_metrics_logged(tiny: SimpleNamespace, tuned: Path, tmp_path: Path) -> None:
    trainer, _ = make(tiny, tuned, tmp_path)
    trainer.train()
    assert trainer.num_iterations == 1
    assert [line["observed"] for line in trainer.state.log_history if "observed" in line] == [1.0]


def test_the_start_model_scores_the_same_tokens(tiny: SimpleNamespace, tuned: Path, tmp_path: Path) -> None:
    trainer, _ = make(tiny, tuned, tmp_path, steps=2)
    trainer.start_model = load_model(tuned, "cpu")
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
    trainer.source = "extra pass"
    monkeypatch.setattr(Probe, "_get_per_token_logps_and_entropies", GRPOTrainer._get_per_token_logps_and_entropies)
    with pytest.raises(RuntimeError, match="no statistics"):
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
    trainer._statistics = ([[0.0, 0.0], [0.0]], [[0.0, 0.0], [0.0]])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(GRPOTrainer, "_calculate_rewards", lambda *args: full)
        paid = trainer._calculate_rewards([{}, {}], ["p", "p"], ["a", "b"], [[1, 2], [3]])
    assert torch.equal(paid.isnan(), torch.tensor([[False, False], [True, True]]))
