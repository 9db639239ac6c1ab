"""Adapters: what is trained, what is rewarded, and that the merged checkpoint is the model that was trained."""

import copy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from golden.trajectories import GRPO
from models.architectures import CASES, save_pretrained
from models.test_architectures import rows_for, texts
from safetensors.torch import load_file
from tiny_settings import TINY_SFT

from coherence.config.compute import Compute
from coherence.config.grpo import Arm, GrpoConfig
from coherence.config.lora import Lora
from coherence.config.sft import SftConfig
from coherence.models.load import load_model, load_tokenizer, prompt_ids, quiet, render_prompt
from coherence.models.scoring import score_completions
from coherence.tasks.read import read_rows
from coherence.tasks.rows import to_table
from coherence.training import grpo, sft
from coherence.training.trl_seam import Rollouts
from scripts.make_base import take_pretrained

CPU, LORA = Compute(device="cpu", bf16=False), Lora(r=4, alpha=8)
SETTINGS = GrpoConfig.parse(GRPO | {"steps": 2, "learning_rate": 3e-2}, "grpo")
CLOSE = {"atol": 5e-5}


@pytest.fixture(scope="module", params=["llama", "qwen3"])
def start(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A base model, and what SFT has made of it with adapters; `adapted` is the model before they were merged."""
    quiet()
    folder = tmp_path_factory.mktemp("start")
    save_pretrained(CASES[request.param], texts(), folder / "in")
    (folder / "base").mkdir()
    take_pretrained({"path": "in"}, {"config.json": folder / "in/config.json"}, folder / "base")
    tokenizer = load_tokenizer(folder / "base")
    to_table(rows_for(lambda text: render_prompt(tokenizer, text))).to_parquet(folder / "data.parquet")
    rows = {split: read_rows(folder / "data.parquet", split) for split in ("sft", "grpo")}
    config = SftConfig.parse(TINY_SFT | {"max_steps": 30, "learning_rate": 3e-2}, "sft")
    (folder / "sft").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        adapted = keep_adapted(patch, sft)
        base = load_model(folder / "base", "cpu")
        sft.train(config, CPU, base, tokenizer, rows["sft"], folder / "sft", 0, lora=LORA)
    return SimpleNamespace(folder=folder, tokenizer=tokenizer, rows=rows, adapted=adapted[0])


def copied(model: Any) -> Any:
    """A copy with its class's own forward: the one that TRL has put there would be the trained model's."""
    twin = copy.deepcopy(model)
    del twin.get_base_model().forward
    return twin.eval()


def keep_adapted(patch: pytest.MonkeyPatch, module: Any) -> list[Any]:
    """Copies of the adapted models that this module merges and saves."""
    kept: list[Any] = []
    save = module.save_trained

    def keep(trainer: Any, *rest: Any) -> None:
        kept.append(copied(trainer.model))
        save(trainer, *rest)

    patch.setattr(module, "save_trained", keep)
    return kept


def statistics(model: Any, tokenizer: Any, prompts: list[str], ids: list[list[int]]) -> np.ndarray:
    """logp and entropy of all tokens, one completion after the other: no padding."""
    found = [
        score_completions(model, tokenizer.pad_token_id, [prompt_ids(tokenizer, prompt)], [row], len(tokenizer))[:2]
        for prompt, row in zip(prompts, ids, strict=True)
    ]
    return np.array([np.concatenate([pair[part][0] for pair in found]) for part in (0, 1)])


def check_merged(start: SimpleNamespace, adapted: Any, before: Path, after: Path) -> None:
    """The merged model is the adapted one; beneath the adapters nothing has moved."""
    prompts, ids = [row["prompt"] for row in start.rows["grpo"][:6]], [[7, 8, 9, 10 + i] for i in range(6)]
    merged, old = load_model(after, "cpu"), load_model(before, "cpu")
    seen = [statistics(model, start.tokenizer, prompts, ids) for model in (adapted, merged, old)]
    np.testing.assert_allclose(seen[1], seen[0], **CLOSE)
    assert np.abs(seen[0] - seen[2]).max() > 5e-3, "nothing was learned, so nothing was compared"
    beneath = dict(adapted.get_base_model().named_parameters())
    for name, weight in old.named_parameters():
        held = beneath.get(name, beneath.get(name.replace(".weight", ".base_layer.weight")))
        assert torch.equal(held, weight), name
    assert load_file(after / "model.safetensors").keys() == load_file(before / "model.safetensors").keys()
    assert not any("adapter" in file.name for file in after.iterdir())


def test_sft_trains_adapters_and_saves_the_model_that_they_make(start: SimpleNamespace) -> None:
    check_merged(start, start.adapted, start.folder / "base", start.folder / "sft")
    moved = [name for name, weight in start.adapted.named_parameters() if "lora_B" in name and weight.any()]
    assert len(moved) == 2 * 7, "two layers of seven matrices"
    assert not any("lm_head" in name or "embed" in name for name in moved)


@pytest.mark.parametrize("source", ["generation", "extra pass"])
def test_grpo_is_paid_for_the_adapted_models_statistics_and_held_against_the_start(
    start: SimpleNamespace, source: str, tmp_path: Path
) -> None:
    seen: list[tuple[Any, Rollouts]] = []

    class Watched(grpo.CoherenceGrpoTrainer):
        def observe_rollouts(self, rollouts: Rollouts) -> dict[str, float]:
            seen.append((copied(self.model), rollouts))
            return super().observe_rollouts(rollouts)

    Watched.source = source
    arm, checkpoint = Arm.parse(GRPO["arms"]["both"], "arm"), start.folder / "sft"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grpo, "CoherenceGrpoTrainer", Watched)
        adapted = keep_adapted(patch, grpo)
        models = (load_model(checkpoint, "cpu"), None)
        rows = start.rows["grpo"]
        outcome = grpo.train(SETTINGS, CPU, arm, "grounding", *models, start.tokenizer, rows, tmp_path, 0, lora=LORA)
    assert (outcome["status"], outcome["statistics_source"]) == ("ok", source)
    check_merged(start, adapted[0], checkpoint, tmp_path)
    beginning = load_model(checkpoint, "cpu")
    for policy, rollouts in seen:
        prompts = [row["prompt"] for row in rollouts.rows]
        given = np.array([np.concatenate(part) for part in (rollouts.token_logps, rollouts.token_entropies)])
        np.testing.assert_allclose(
            given, statistics(policy, start.tokenizer, prompts, rollouts.completion_ids), **CLOSE
        )
        first = statistics(beginning, start.tokenizer, prompts, rollouts.completion_ids)[0]
        np.testing.assert_allclose(np.concatenate(rollouts.start_logps), first, **CLOSE)
    assert np.abs(given[0] - first).max() > 1e-3, "the second step's policy is no longer the start"
