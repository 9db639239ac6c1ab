"""Any causal LM goes the whole way as the scripts take it, and every Phi on it equals one computed afterwards.

The truth of each test is a float64 forward of one unpadded sequence, by the model as it was at that step.
"""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from datasets import Dataset
from golden.trajectories import GRPO
from models.architectures import CASES, save_pretrained
from repository import read_jsonl
from tiny_settings import TINY_DATA, TINY_SFT
from transformers import PreTrainedModel
from trl import GRPOConfig

from coherence.config.compute import Compute
from coherence.config.data import GroundingData
from coherence.config.grpo import Arm, GrpoConfig
from coherence.config.sft import SftConfig
from coherence.core.composite import CompositeWeights
from coherence.core.order_parameter import TokenStatistics, token_statistics
from coherence.evaluation.generate import generate_split
from coherence.evaluation.score import score
from coherence.models.load import completion_ids, judged_text, load_model, load_tokenizer, prompt_ids, quiet
from coherence.models.load import render_prompt as render
from coherence.streams import generator
from coherence.tasks.grounding.rows import make_rows
from coherence.tasks.read import read_rows
from coherence.tasks.rows import Row, to_table
from coherence.training import grpo, sft
from coherence.training.arguments import common_arguments
from coherence.training.supervised import PROMPT, encode_row
from coherence.training.trl_seam import Rollouts, TokenStatisticsMixin, logit_transform
from scripts.make_base import take_pretrained

CPU = Compute(device="cpu", bf16=False)
STEPS, NEW_TOKENS = 2, 12
SFT = SftConfig.parse(TINY_SFT | {"max_steps": 30}, "sft")
SETTINGS = GrpoConfig.parse(GRPO | {"steps": STEPS, "max_completion_length": NEW_TOKENS}, "grpo")
OWN, TRL = {"atol": 2e-5}, {"atol": 5e-5}
"""Float32 forwards, and our statistics or those of TRL's fused head, whose float32 sums cancel a little."""


def rows_for(show: Callable[[str], str]) -> list[Row]:
    return list(make_rows(GroundingData.parse(TINY_DATA, "data"), show, generator(0, "data")))


def texts() -> list[str]:
    """What the tokenizers are trained on."""
    return [text for row in rows_for(str) for text in (row.prompt, row.completion)]


@dataclass
class Observed:
    """Two GRPO steps: the policy's weights and the rollouts of each, and how many forwards there were."""

    forwards: int = 0
    steps: list[tuple[dict[str, torch.Tensor], Rollouts]] = field(default_factory=list)


def observe(folder: Path, start: Path, rows: list[dict[str, Any]], source: str | None) -> Observed:
    """GRPO with CARL from `start`, as scripts/train_grpo.py runs it."""
    seen = Observed()

    class Watched(grpo.CoherenceGrpoTrainer):
        def observe_rollouts(self, rollouts: Rollouts) -> dict[str, float]:
            seen.steps.append((copy.deepcopy(self.model.state_dict()), rollouts))
            return super().observe_rollouts(rollouts)

        def _untempered(self, *args: Any) -> Any:
            raise AssertionError("at temperature 1, with one row per token, TRL's own fused head is enough")

    Watched.source = source
    folder.mkdir()
    model, arm = load_model(start, "cpu"), Arm.parse(GRPO["arms"]["both"], "arm")
    model.base_model.register_forward_hook(lambda *_: setattr(seen, "forwards", seen.forwards + 1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grpo, "CoherenceGrpoTrainer", Watched)
        beside = load_model(start, "cpu"), load_tokenizer(start)
        outcome = grpo.train(SETTINGS, CPU, arm, "grounding", model, *beside, rows, folder, 0)
    assert (outcome["status"], outcome["statistics_source"]) == ("ok", source or "generation")
    return seen


@pytest.fixture(scope="module", params=CASES)
def journey(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """One architecture taken in, fine-tuned, trained by GRPO and evaluated: the folders and tables of each stage."""
    quiet()
    case, folder = CASES[request.param], tmp_path_factory.mktemp("journey")
    size = save_pretrained(case, texts(), folder / "in")
    (folder / "base").mkdir()
    told = take_pretrained({"path": "in"}, {"config.json": folder / "in/config.json"}, folder / "base")
    tokenizer = load_tokenizer(folder / "base")
    to_table(rows_for(lambda text: render(tokenizer, text))).to_parquet(folder / "data.parquet")
    rows = {split: read_rows(folder / "data.parquet", split) for split in ("sft", "grpo", "heldout")}
    batch = rows["sft"][:: len(rows["sft"]) // SFT.batch_size][: SFT.batch_size]
    (folder / "sft").mkdir()
    sft.train(SFT, CPU, load_model(folder / "base", "cpu"), tokenizer, batch, folder / "sft", 0)
    watched = {
        source: observe(folder / str(source), folder / "sft", rows["grpo"], source) for source in (None, "extra pass")
    }
    how = {"samples": 1, "temperature": 1.0, "max_new_tokens": NEW_TOKENS, "batch_size": 16, "seed": 0}
    generations = generate_split(folder / "None", folder, "heldout", "cpu", **how)
    return SimpleNamespace(**locals())


def exact(
    model: PreTrainedModel, prompt: list[int], ids: list[int], size: int | None = None
) -> TokenStatistics[np.ndarray]:
    """The truth: statistics of `ids` after `prompt` over `size` tokens, one unpadded sequence in float64."""
    if hasattr(model.config, "output_router_logits"):
        model.set_experts_implementation("eager")  # one expert after the other: the fast way knows no float64
    with torch.no_grad():
        logits_TV = model(torch.tensor([prompt + list(ids)])).logits[0, len(prompt) - 1 : -1].numpy()
    assert logits_TV.dtype == np.float64
    known = np.minimum(ids, (size or logits_TV.shape[1]) - 1)
    return token_statistics(logits_TV, known, vocab_size=size)


def test_it_comes_in_with_one_head_row_per_token_and_one_end(journey: SimpleNamespace) -> None:
    case, tokenizer, size = journey.case, journey.tokenizer, journey.size
    assert journey.told == {"head_rows": size + case.dead_rows, "vocab_size": size}
    model = load_model(journey.folder / "base", "cpu")
    head, embeddings = model.get_output_embeddings().weight, model.get_input_embeddings().weight
    assert head.shape[0] == len(tokenizer) == size
    assert (head.data_ptr() == embeddings.data_ptr()) == case.tied
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id
    assert model.generation_config.top_k in (None, 50) and not model.generation_config.do_sample


def test_a_prompt_has_at_most_one_start_token_and_a_completion_comes_back(journey: SimpleNamespace) -> None:
    tokenizer, row = journey.tokenizer, journey.rows["sft"][0]
    start = [tokenizer.bos_token_id] if tokenizer("")["input_ids"] else []
    ids = prompt_ids(tokenizer, row["prompt"])
    assert ids[: len(start)] == start and tokenizer.bos_token_id not in ids[len(start) :]
    assert judged_text(tokenizer, completion_ids(tokenizer, row["completion"])[0]) == row["completion"]


def test_what_sft_logs_is_what_the_model_does(journey: SimpleNamespace) -> None:
    first, *_, last = read_jsonl(journey.folder / "sft/metrics.jsonl")
    model, found = load_model(journey.folder / "base", "cpu").double(), []
    for row in journey.batch:
        encoded = encode_row(journey.tokenizer, row)
        length = encoded["token_class"].count(PROMPT)
        found.append(exact(model, encoded["input_ids"][:length], encoded["input_ids"][length:]))
    entropy, logp = (np.concatenate([getattr(s, name) for s in found]) for name in ("entropy", "logp"))
    assert first["all/entropy"] == pytest.approx(entropy.mean(), abs=1e-5)
    assert first["all/phi"] == pytest.approx(1 - entropy.mean() / math.log(journey.size), abs=1e-5)
    balance = getattr(model.config, "router_aux_loss_coef", 0.0) * first.get("aux_loss", 0.0)
    assert first["loss"] - balance == pytest.approx(-logp.mean(), abs=1e-5)
    assert (balance > 0.01) == hasattr(model.config, "output_router_logits"), "a mixture's load is balanced as well"
    assert last["loss"] < first["loss"]


@pytest.mark.parametrize(("source", "added", "near"), [(None, 0, OWN), ("extra pass", 1, TRL)])
def test_every_sampled_token_has_the_statistics_of_its_policy(
    journey: SimpleNamespace, source: str | None, added: int, near: dict[str, float]
) -> None:
    seen, model = journey.watched[source], load_model(journey.folder / "sft", "cpu").double()
    assert len({len(ids) for _, rollouts in seen.steps for ids in rollouts.completion_ids}) > 1, "ragged, or it is easy"
    generated = sum(max(map(len, rollouts.completion_ids)) for _, rollouts in seen.steps)
    assert seen.forwards == generated + STEPS * (1 + added)
    for weights, rollouts in seen.steps:
        model.load_state_dict(weights)
        for i, ids in enumerate(rollouts.completion_ids):
            truth = exact(model, prompt_ids(journey.tokenizer, rollouts.rows[i]["prompt"]), ids)
            np.testing.assert_allclose(rollouts.token_logps[i], truth.logp, **near)
            np.testing.assert_allclose(rollouts.token_entropies[i], truth.entropy, **near)
    first, last = (np.concatenate(r.token_logps) - np.concatenate(r.start_logps) for _, r in seen.steps)
    np.testing.assert_allclose(first, 0, **near)
    assert np.abs(last).max() > 1e-4, "the second step's policy is another"


def test_metrics_and_samples_hold_the_same_numbers(journey: SimpleNamespace) -> None:
    lines = read_jsonl(journey.folder / "None/metrics.jsonl")
    samples = pd.read_parquet(journey.folder / "None/samples.parquet")
    for line, (_, rollouts) in zip(lines, journey.watched[None].steps, strict=True):
        entropy = np.concatenate(rollouts.token_entropies).mean()
        assert line["coherence/phi"] == pytest.approx(1 - entropy / math.log(journey.size), abs=1e-6)
        assert line["rewards/carl/mean"] == pytest.approx(line["coherence/carl"], abs=1e-5)
        stored = samples[samples["step"] == rollouts.step].iloc[0]
        assert (
            stored["logp"].tolist() == rollouts.token_logps[0] and stored["ids"].tolist() == rollouts.completion_ids[0]
        )


def test_what_evaluation_stores_equals_the_truth_and_is_scored(journey: SimpleNamespace) -> None:
    model = load_model(journey.folder / "None", "cpu").double()
    prompts = {row["id"]: prompt_ids(journey.tokenizer, row["prompt"]) for row in journey.rows["heldout"]}
    for line in journey.generations.to_dict("records"):
        truth = exact(model, prompts[line["id"]], line["ids"])
        for name in ("logp", "entropy", "phi"):
            np.testing.assert_allclose(line[name], getattr(truth, name), **OWN)
    scores = score("grounding", journey.rows["heldout"], journey.generations, CompositeWeights())
    assert len(scores) == 2 * len(prompts)
    assert scores["phi"].between(0, 1).all() and scores["carl"].between(0, 1).all()


@pytest.fixture
def loud(request: pytest.FixtureRequest, tmp_path: Path) -> SimpleNamespace:
    """An architecture as it was published: 32 dead rows in its head, and logits large enough for a cap to matter."""
    quiet()
    size = save_pretrained(replace(CASES[request.param], dead_rows=32), texts(), tmp_path / "in")
    model, tokenizer = load_model(tmp_path / "in", "cpu"), load_tokenizer(tmp_path / "in")
    with torch.no_grad():
        model.get_output_embeddings().weight.mul_(20)
    return SimpleNamespace(model=model, tokenizer=tokenizer, size=size, folder=tmp_path)


TRANSFORMED = ["gemma2", "granite, logits divided", "cohere, logits multiplied"]


@pytest.mark.parametrize("loud", ["llama", "phi, a bias in the head", *TRANSFORMED], indirect=True)
def test_a_pass_at_another_temperature_sees_scales_and_caps_as_the_model_does(loud: SimpleNamespace) -> None:
    calls: list[dict[str, Any]] = []

    def reward(completion_ids: list[list[int]], **columns: Any) -> list[float]:
        calls.append({"ids": completion_ids, **columns})
        return [float(sum(ids) % 5) for ids in completion_ids]

    common = common_arguments(1e-3, 0.999, CPU, loud.folder, seed=0)
    sizes = {"per_device_train_batch_size": 8, "num_generations": 4, "max_completion_length": 6}
    trainer = TokenStatisticsMixin(
        model=copy.deepcopy(loud.model),
        reward_funcs=[reward],
        args=GRPOConfig(**common, **sizes, max_steps=1, temperature=0.7),
        train_dataset=Dataset.from_list([{"prompt": text} for text in texts()[::7]]),
        processing_class=loud.tokenizer,
    )
    trainer.source = "extra pass"
    trainer.train()
    (call,), size = calls, loud.size
    for prompt, ids, logps, entropies in zip(
        call["prompts"], call["ids"], call["token_logps"], call["token_entropies"], strict=True
    ):
        real = np.array(ids) < size
        truth = exact(loud.model.double(), prompt_ids(loud.tokenizer, prompt), ids, size)
        np.testing.assert_allclose(logps, np.where(real, truth.logp, np.nan), atol=1e-4)
        np.testing.assert_allclose(entropies, np.where(real, truth.entropy, np.nan), atol=1e-4)


@pytest.mark.parametrize("loud", ["hyperclovax, logits multiplied"], indirect=True)
def test_a_field_that_means_something_else_to_one_model_is_noticed(loud: SimpleNamespace) -> None:
    with pytest.raises(ValueError, match="not those of its head"):
        logit_transform(loud.model)
