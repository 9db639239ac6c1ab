"""What evaluation stores is what the model gave, and what it scores is what was asked."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from coherence.core.composite import CompositeWeights
from coherence.core.order_parameter import token_statistics
from coherence.evaluation.generate import generate
from coherence.evaluation.score import score, zero_variance
from coherence.models.load import load_model, load_tokenizer, prompt_ids, save_model

WEIGHTS = CompositeWeights()


def completions(folder: Path, rows: list[dict], **changes: object) -> pd.DataFrame:
    how = {"samples": 2, "temperature": 1.0, "max_new_tokens": 12, "batch_size": 5, "seed": 3}
    return generate(load_model(folder, "cpu"), load_tokenizer(folder), rows, **(how | changes))


@pytest.fixture(params=["as it is", "start token", "pad is end"])
def checkpoint(request: pytest.FixtureRequest, tuned: Path, tmp_path: Path) -> Path:
    """The tuned model: with its own tokenizer, one that puts a start token, one whose pad is its end token."""
    if request.param == "as it is":
        return tuned
    tokenizer = load_tokenizer(tuned)
    if request.param == "pad is end":
        tokenizer.pad_token = tokenizer.eos_token
    else:
        from tokenizers.processors import TemplateProcessing

        start = tokenizer.convert_tokens_to_ids("<|im_start|>")
        tokenizer.bos_token = "<|im_start|>"
        tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
            single="<|im_start|> $A", special_tokens=[("<|im_start|>", start)]
        )
    save_model(load_model(tuned, "cpu"), tokenizer, tmp_path / "model")
    return tmp_path / "model"


def test_stored_statistics_equal_an_unpadded_forward_of_each_completion(
    checkpoint: Path, tiny: SimpleNamespace
) -> None:
    rows = tiny.rows["heldout"]
    table, model, tokenizer = completions(checkpoint, rows), load_model(checkpoint, "cpu"), load_tokenizer(checkpoint)
    assert len({len(ids) for ids in table["ids"]}) > 1, "the test needs ragged completions"
    prompts = {row["id"]: prompt_ids(tokenizer, row["prompt"]) for row in rows}
    assert len({len(ids) for ids in prompts.values()}) > 1, "and ragged prompts"
    for line in table.to_dict("records"):
        prompt = prompts[line["id"]]
        with torch.no_grad():
            logits = model(torch.tensor([prompt + line["ids"]])).logits[0, len(prompt) - 1 : -1].double().numpy()
        offline = token_statistics(logits, np.array(line["ids"]))
        np.testing.assert_allclose(line["logp"], offline.logp, atol=2e-5)
        np.testing.assert_allclose(line["entropy"], offline.entropy, atol=2e-5)
        np.testing.assert_allclose(line["phi"], offline.phi, atol=5e-6)


def test_greedy_takes_the_likeliest_token_and_sampling_follows_its_seed(tuned: Path, tiny: SimpleNamespace) -> None:
    rows = tiny.rows["heldout"][:6]
    a, b, c = (completions(tuned, rows, seed=seed) for seed in (1, 1, 2))
    assert a.equals(b)
    sampled = [table[table["mode"] == "sampled"]["completion"].tolist() for table in (a, c)]
    assert sampled[0] != sampled[1]
    greedy = [table[table["mode"] == "greedy"]["completion"].tolist() for table in (a, c)]
    assert greedy[0] == greedy[1]
    assert a.groupby("mode").size().to_dict() == {"greedy": 6, "sampled": 12}


def test_a_model_that_diverged_fails_every_item_and_is_not_missing(
    tuned: Path, tiny: SimpleNamespace, tmp_path: Path
) -> None:
    model = load_model(tuned, "cpu")
    with torch.no_grad():
        model.get_output_embeddings().weight[0, 0] = torch.nan
    save_model(model, load_tokenizer(tuned), tmp_path / "broken")
    rows = tiny.rows["heldout"]
    scores = score("grounding", rows, completions(tmp_path / "broken", rows), WEIGHTS)
    assert len(scores) == 3 * len(rows)
    assert (scores["strict"] == 0).all()
    assert scores["carl"].isna().all() and scores["phi"].isna().all()


def hand_made() -> tuple[list[dict], pd.DataFrame]:
    answer = {"box": [10, 20, 16, 26], "point": [13, 23]}
    rows = [{"id": name, "family": "clean", "unit": name, "answer": answer} for name in "ab"]
    texts = {"a": ["click(13, 23)", "click(13, 23)", "click(16, 27)"], "b": ["click(0, 0)", "no", "click(1, 1)"]}
    lines = [
        {
            "id": name,
            "mode": "greedy" if k == 0 else "sampled",
            "sample": max(0, k - 1),
            "completion": text,
            "ended": True,
            "ids": list(range(k + 1)),
            "logp": [-0.5] * (k + 1),
            "entropy": [0.25] * (k + 1),
            "phi": [0.9] * (k + 1),
        }
        for name, said in texts.items()
        for k, text in enumerate(said)
    ]
    return rows, pd.DataFrame(lines)


def test_known_scores() -> None:
    rows, generations = hand_made()
    table = score("grounding", rows, generations, WEIGHTS)
    assert table["strict"].tolist() == [1, 1, 0, 0, 0, 0]
    assert table["format"].tolist() == [1, 1, 1, 1, 0, 1]
    assert table["distance_px"].round(3).tolist()[:3] == [0.0, 0.0, 5.0]
    assert np.isnan(table["distance_px"][4])
    assert table["tokens"].tolist() == [1, 2, 3, 1, 2, 3]
    np.testing.assert_allclose(table["logp"], -0.5)
    np.testing.assert_allclose(table["phi"], 0.9)
    np.testing.assert_allclose(table["cloud_quality"], np.exp(-0.5) * 0.9)


def test_zero_variance_is_that_of_the_reward_that_is_paid() -> None:
    rows, generations = hand_made()
    table = score("grounding", rows, generations, WEIGHTS)
    assert zero_variance(table, {"click": 1.0}) == 0.5
    assert zero_variance(table, {"click": 1.0, "format": 0.2}) == 0.0


def test_a_generation_of_an_unknown_row_is_refused() -> None:
    rows, generations = hand_made()
    with pytest.raises(ValueError, match="does not have"):
        score("grounding", rows[:1], generations, WEIGHTS)
