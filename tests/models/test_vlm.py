"""A vision-language model goes the whole way with its images, and every Phi on it equals one computed afterwards.

The truth of each test is a float64 forward of one unpadded sequence with its own image, by the model as it was.
"""

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from golden.trajectories import GRPO
from models.architectures import CASES as TEXT_CASES
from models.architectures import save_pretrained
from models.screens import CASES, DATA, draw, save_vlm
from PIL import Image
from repository import read_jsonl
from safetensors.torch import load_file, save_file
from tiny_settings import TINY_SFT
from transformers import AutoConfig, PreTrainedModel, ProcessorMixin

from coherence.config.compute import Compute
from coherence.config.grpo import Arm, GrpoConfig
from coherence.config.resolved import data_files
from coherence.config.sft import SftConfig
from coherence.core.compat import text_reward
from coherence.core.composite import CompositeWeights
from coherence.core.order_parameter import TokenStatistics, token_statistics
from coherence.evaluation.conventions import rescore
from coherence.evaluation.generate import generate_split
from coherence.evaluation.score import score
from coherence.models.load import completion_ids, load_model, quiet
from coherence.models.vision import load_processor, load_reader, show
from coherence.tasks.images import open_rows
from coherence.tasks.read import read_rows
from coherence.training import grpo, sft
from coherence.training.trl_seam import Rollouts
from scripts.make_base import take_pretrained
from scripts.prepare_data import prepare

CPU = Compute(device="cpu", bf16=False)
STEPS, NEW_TOKENS = 2, 12
GATE = {"split": "validation", "token_class": "all", "threshold": 0.99, "window": 3, "count": 2}
SFT = SftConfig.parse(
    TINY_SFT | {"max_steps": 12, "bucket": 2, "validate_every": 6, "gate": GATE, "batch_size": 6}, "sft"
)
SETTINGS = GrpoConfig.parse(GRPO | {"steps": STEPS, "max_completion_length": NEW_TOKENS}, "grpo")
OWN, TRL = {"atol": 2e-5}, {"atol": 5e-5}


@dataclass
class Observed:
    """Two GRPO steps: the policy's weights and the rollouts of each."""

    steps: list[tuple[dict[str, torch.Tensor], Rollouts, list[list[int]]]] = field(default_factory=list)


def observe(folder: Path, start: Path, rows: list[dict[str, Any]], source: str | None) -> Observed:
    """GRPO with CARL from `start`, as scripts/train_grpo.py runs it."""
    seen = Observed()

    class Watched(grpo.CoherenceGrpoTrainer):
        def observe_rollouts(self, rollouts: Rollouts) -> dict[str, float]:
            seen.steps.append((copy.deepcopy(self.model.state_dict()), rollouts, self._prompt_ids))
            return super().observe_rollouts(rollouts)

    Watched.source = source
    folder.mkdir()
    tokenizer, processor = load_reader(start, images=True)
    models = [load_model(start, "cpu", images=True) for _ in range(2)]
    arm = Arm.parse(GRPO["arms"]["both"], "arm")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grpo, "CoherenceGrpoTrainer", Watched)
        outcome = grpo.train(SETTINGS, CPU, arm, "screens", *models, tokenizer, rows, folder, 0, processor=processor)
    assert (outcome["status"], outcome["statistics_source"]) == ("ok", source or "generation")
    return seen


@pytest.fixture(scope="module", autouse=True)
def own_images() -> Iterator[None]:
    """Those that are drawn here, wherever a person's own lie."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("CARL_DATA_ROOT", raising=False)
        yield


@pytest.fixture(scope="module", params=CASES)
def journey(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """One architecture taken in, fine-tuned, trained by GRPO and evaluated: the folders and tables of each stage."""
    quiet()
    folder = tmp_path_factory.mktemp("journey")
    root, data = folder / "root", folder / "data"
    published = save_vlm(request.param, folder / "in")
    for made in ("base", "data", "sft"):
        (folder / made).mkdir()
    told = take_pretrained({"path": "in"}, {"config.json": folder / "in/config.json"}, folder / "base", images=True)
    draw(root, 24)
    study = {"data": DATA, "data_root": str(root), "model": {"kind": "local"}}
    report = prepare(DATA, folder / "base", data_files(study, folder), data)
    splits = ("sft", "validation", "grpo", "heldout")
    rows = {split: read_rows(data / "data.parquet", split, root) for split in splits}
    tokenizer, processor = load_reader(folder / "base", images=True)
    base = load_model(folder / "base", "cpu", images=True)
    sft.train(SFT, CPU, base, tokenizer, rows["sft"], folder / "sft", 0, rows["validation"], processor)
    watched = {
        source: observe(folder / str(source), folder / "sft", rows["grpo"], source) for source in (None, "extra pass")
    }
    how = {"samples": 1, "temperature": 1.0, "max_new_tokens": NEW_TOKENS, "batch_size": 5, "seed": 0}
    generations = generate_split(folder / "None", data, "heldout", "cpu", root, **how)
    return SimpleNamespace(**locals())


def exact_logits(
    model: PreTrainedModel, processor: ProcessorMixin, row: dict[str, Any], ids: list[int], image: str | None = None
) -> np.ndarray:
    """The truth: what predicts `ids` after the row's prompt and image, one unpadded sequence in float64."""
    pixels = Image.open(image or row["image_path"])
    batch = dict(processor(text=[row.get("text", row["prompt"])], images=[[pixels]], return_tensors="pt"))
    prompt = batch.pop("input_ids")
    whole = torch.cat([prompt, torch.tensor([list(ids)], dtype=prompt.dtype)], dim=1)
    if "mm_token_type_ids" in batch:
        batch["mm_token_type_ids"] = (whole == model.config.image_token_id).long()
    with torch.no_grad():
        batch |= {"attention_mask": torch.ones_like(whole), "pixel_values": batch["pixel_values"].double()}
        logits_TV: np.ndarray = model(input_ids=whole, **batch).logits[0, prompt.shape[1] - 1 : -1].numpy()
    assert logits_TV.dtype == np.float64
    return logits_TV


def exact(
    model: PreTrainedModel, processor: ProcessorMixin, row: dict[str, Any], ids: list[int], image: str | None = None
) -> TokenStatistics[np.ndarray]:
    return token_statistics(exact_logits(model, processor, row, ids, image), np.array(ids))


def test_it_comes_in_with_its_tower_its_processor_and_one_head_row_per_token(journey: SimpleNamespace) -> None:
    published, before = journey.published, load_file(journey.folder / "in/model.safetensors")
    assert journey.told == {"head_rows": published.head_rows, "vocab_size": published.tokens}
    after = load_file(journey.folder / "base/model.safetensors")
    assert after.keys() == before.keys() and any("vis" in name for name in after)
    assert all(after[name].equal(before[name]) for name in after if "vis" in name)
    config = load_model(journey.folder / "base", "cpu", images=True).config
    assert config.get_text_config().attention_dropout == 0.0, "dropout of the text model inside is found too"
    kept = load_processor(journey.folder / "None")
    row, image = journey.rows["heldout"][0], open_rows(journey.rows["heldout"][:1])
    one, other = (show(p, [row["prompt"]], image) for p in (journey.processor, kept))
    assert one.ids == other.ids and one.pixels["pixel_values"].equal(other.pixels["pixel_values"])


def test_large_images_are_resized_and_lengths_differ(journey: SimpleNamespace) -> None:
    rows = journey.rows["sft"]
    lengths = {row["prompt_tokens"] for row in rows}
    assert len(lengths) > 1, "ragged, or it is easy"
    assert max(max(row["answer"]["size"]) for row in rows) == 96
    assert journey.report["longest_tokens"] < 100
    shown = show(journey.processor, [row["prompt"] for row in rows], open_rows(rows))
    assert [len(ids) for ids in shown.ids] == [row["prompt_tokens"] for row in rows]


def test_what_sft_logs_is_what_the_model_does(journey: SimpleNamespace) -> None:
    lines = read_jsonl(journey.folder / "sft/validation.jsonl")
    assert [line["step"] for line in lines] == [6, 12] and lines[1]["all/entropy"] != lines[0]["all/entropy"]
    model = load_model(journey.folder / "sft", "cpu", images=True).double()
    golds = [(row, completion_ids(journey.tokenizer, row["completion"])[0]) for row in journey.rows["validation"]]
    found = [exact(model, journey.processor, row, ids) for row, ids in golds]
    entropy = np.concatenate([part.entropy for part in found]).mean()
    assert lines[1]["all/entropy"] == pytest.approx(entropy, abs=1e-5)
    assert lines[1]["all/phi"] == pytest.approx(1 - entropy / math.log(journey.published.tokens), abs=1e-5)
    first, *_, last = read_jsonl(journey.folder / "sft/metrics.jsonl")
    assert last["loss"] < first["loss"]


def test_the_image_is_seen_and_its_tower_learns(journey: SimpleNamespace) -> None:
    model = load_model(journey.folder / "sft", "cpu", images=True).double()
    row = journey.rows["heldout"][0]
    ids = completion_ids(journey.tokenizer, row["completion"])[0]
    blank = journey.folder / "blank.png"
    Image.new("RGB", Image.open(row["image_path"]).size, "white").save(blank)
    seen, unseen = (exact(model, journey.processor, row, ids, image).logp for image in (None, str(blank)))
    assert np.abs(seen - unseen).max() > 1e-3
    before, after = (load_file(journey.folder / stage / "model.safetensors") for stage in ("base", "sft"))
    assert any(not after[name].equal(before[name]) for name in after if "vis" in name)


@pytest.mark.parametrize(("source", "near"), [(None, OWN), ("extra pass", TRL)])
def test_every_sampled_token_has_the_statistics_of_its_policy(
    journey: SimpleNamespace, source: str | None, near: dict[str, float]
) -> None:
    model = load_model(journey.folder / "sft", "cpu", images=True).double()
    steps = journey.watched[source].steps
    assert len({len(ids) for _, rollouts, _ in steps for ids in rollouts.completion_ids}) > 1, "ragged, or it is easy"
    for weights, rollouts, prompts in steps:
        model.load_state_dict(weights)
        for row, prompt, ids, logps, entropies in zip(
            rollouts.rows, prompts, rollouts.completion_ids, rollouts.token_logps, rollouts.token_entropies, strict=True
        ):
            assert prompt == show(journey.processor, [row["text"]], open_rows([row])).ids[0], "TRL's prompt is ours"
            truth = exact(model, journey.processor, row, ids)
            np.testing.assert_allclose(logps, truth.logp, **near)
            np.testing.assert_allclose(entropies, truth.entropy, **near)
    first, last = (np.concatenate(r.token_logps) - np.concatenate(r.start_logps) for _, r, _ in steps)
    np.testing.assert_allclose(first, 0, **near)
    assert np.abs(last).max() > 1e-4, "the second step's policy is another"


def test_metrics_hold_the_same_numbers(journey: SimpleNamespace) -> None:
    lines = read_jsonl(journey.folder / "None/metrics.jsonl")
    for line, (_, rollouts, _) in zip(lines, journey.watched[None].steps, strict=True):
        entropy = np.concatenate(rollouts.token_entropies).mean()
        assert line["coherence/phi"] == pytest.approx(1 - entropy / math.log(journey.published.tokens), abs=1e-6)
        assert line["rewards/carl/mean"] == pytest.approx(line["coherence/carl"], abs=1e-5)


def test_what_evaluation_stores_equals_the_truth_and_is_scored(journey: SimpleNamespace) -> None:
    model = load_model(journey.folder / "None", "cpu", images=True).double()
    rows = {row["id"]: row for row in journey.rows["heldout"]}
    for line in journey.generations.to_dict("records"):
        truth = exact(model, journey.processor, rows[line["id"]], line["ids"])
        for name in ("logp", "entropy", "phi"):
            np.testing.assert_allclose(line[name], getattr(truth, name), **OWN)
    scores = score("screens", list(rows.values()), journey.generations, CompositeWeights())
    assert len(scores) == 2 * len(rows) and scores["phi"].between(0, 1).all() and scores["carl"].between(0, 1).all()
    assert "distance_px" in scores


def test_the_reference_arithmetic_with_prompt_and_shift_sees_the_image(journey: SimpleNamespace) -> None:
    rows = {row["id"]: row for row in journey.rows["heldout"]}
    generations = journey.generations.assign(arm="sft", seed=0)
    scores = score("screens", list(rows.values()), generations, CompositeWeights())
    prompts, processor = {name: row["prompt"] for name, row in rows.items()}, journey.processor
    table = rescore(
        load_model(journey.folder / "None", "cpu", images=True), journey.tokenizer, generations, scores, prompts,
        lambda name: show(processor, [prompts[name]], open_rows([rows[name]])),
    )  # fmt: skip
    model = load_model(journey.folder / "None", "cpu", images=True).double()
    for line in table.to_dict("records"):
        row, ids = rows[line["id"]], journey.tokenizer(line["text"])["input_ids"]
        expected, _ = text_reward(line["text"], lambda _: ids, lambda ids: exact_logits(model, processor, row, ids))  # noqa: B023
        assert line["carl_both"] == pytest.approx(expected, abs=2e-4)
    assert not np.allclose(table["carl_shifted"], table["carl_both"], atol=1e-3), "without prompt and image"


def test_an_image_that_has_changed_since_is_refused(journey: SimpleNamespace, tmp_path: Path) -> None:
    row = journey.rows["sft"][0]
    Image.new("RGB", (64, 48), "red").save(tmp_path / "other.png")
    with pytest.raises(ValueError, match=r"other\.png is not the image that the data set was made with"):
        open_rows([row | {"image_path": str(tmp_path / "other.png")}])
    with pytest.raises(ValueError, match=r"gone\.png: no image can be read from it"):
        open_rows([row | {"image_path": str(tmp_path / "gone.png")}])


def test_a_task_without_images_refuses_the_model(journey: SimpleNamespace) -> None:
    with pytest.raises(ValueError, match="has a vision tower, which a task without images would drop") as error:
        load_model(journey.folder / "base", "cpu")
    assert "\n" not in str(error.value)


def test_a_text_only_class_that_would_drop_the_tower_is_refused(journey: SimpleNamespace, tmp_path: Path) -> None:
    text = AutoConfig.from_pretrained(journey.folder / "base").get_text_config().to_dict()
    kind = "Qwen3Config" if text.pop("model_type").startswith("qwen3") else "LlamaConfig"
    getattr(transformers, kind)(**text | {"rope_parameters": None}).save_pretrained(tmp_path)
    weights = load_file(journey.folder / "base/model.safetensors")
    named = {name.replace("model.language_model.", "model.").replace("model.text_model.", "model."): value
             for name, value in weights.items()}  # fmt: skip
    save_file(named, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match=r"would drop the vision tower \(\S*vis"):
        load_model(tmp_path, "cpu")


def test_a_task_with_images_refuses_a_text_model(tmp_path: Path) -> None:
    save_pretrained(TEXT_CASES["qwen3"], ["Click the red box"], tmp_path / "text")
    for load in (lambda: load_model(tmp_path / "text", "cpu", images=True), lambda: load_processor(tmp_path / "text")):
        with pytest.raises(ValueError, match="the task shows images, but a qwen3 model has no vision tower"):
            load()
