"""The reference file's scoring of stored completions, and its conventions taken back one at a time."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from coherence.core.compat import carl_reward, text_rewards
from coherence.core.composite import CompositeWeights
from coherence.evaluation.conventions import CONVENTIONS, PARTS, rescore
from coherence.evaluation.generate import generate
from coherence.evaluation.score import score
from coherence.models.load import load_model, load_tokenizer, prompt_ids, save_model

HOW = {"samples": 1, "temperature": 1.0, "max_new_tokens": 12, "batch_size": 64, "seed": 3}


def scored(folder: Path, rows: list[dict], prompts: dict[str, str] | None = None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The table by conventions, and the generations that it is of."""
    model, tokenizer = load_model(folder, "cpu"), load_tokenizer(folder)
    generations = generate(model, tokenizer, rows, **HOW).assign(arm="sft", seed=0)
    scores = score("grounding", rows, generations, CompositeWeights())
    asked = prompts or {row["id"]: row["prompt"] for row in rows}
    return rescore(model, tokenizer, generations, scores, asked), generations[generations["mode"] == "greedy"]


def test_compat_is_the_reference_function_on_the_checkpoints_own_model(tuned: Path, tiny: SimpleNamespace) -> None:
    table, _ = scored(tuned, tiny.rows["heldout"])
    model, tokenizer = load_model(tuned, "cpu"), load_tokenizer(tuned)

    def forward(ids: list[int]) -> np.ndarray:
        with torch.no_grad():
            return model(torch.tensor([ids])).logits[0].numpy()

    expected = text_rewards(table["text"].tolist(), lambda text: tokenizer(text)["input_ids"], forward)
    assert table["carl_compat"].tolist() == expected
    assert {f"{part}_{name}" for part in ("carl", *PARTS) for name in CONVENTIONS} <= set(table)


def test_the_prompt_is_nothing_to_the_reference_and_all_to_the_aligned_score(
    tuned: Path, tiny: SimpleNamespace
) -> None:
    rows = tiny.rows["heldout"]
    asked, _ = scored(tuned, rows)
    other, _ = scored(tuned, rows, {row["id"]: "Click" for row in rows})
    for name in ("compat", "shifted"):
        assert asked[f"carl_{name}"].equals(other[f"carl_{name}"])
    for name in ("prompted", "both"):
        assert not np.allclose(asked[f"carl_{name}"], other[f"carl_{name}"])


def test_with_prompt_and_shift_the_reference_arithmetic_gives_the_aligned_score(
    tuned: Path, tiny: SimpleNamespace
) -> None:
    rows = tiny.rows["heldout"]
    table, generations = scored(tuned, rows)
    model, tokenizer = load_model(tuned, "cpu"), load_tokenizer(tuned)
    prompts = {row["id"]: prompt_ids(tokenizer, row["prompt"]) for row in rows}
    same = 0
    for line, ids in zip(table.to_dict("records"), generations["ids"], strict=True):
        prompt = prompts[line["id"]]
        with torch.no_grad():
            logits = model(torch.tensor([[*prompt, *ids]])).logits[0, len(prompt) - 1 : -1].numpy()
        whole, _ = carl_reward(logits, np.array(ids))
        assert line["carl_aligned"] == pytest.approx(whole, abs=1e-5)
        if line["same_tokens"] and ids[-1] == tokenizer.eos_token_id and len(line["text"]) >= 5:
            same += 1
            assert line["carl_both"] == round(carl_reward(logits[:-1], np.array(ids[:-1]))[0], 4)
    assert same, "the test needs a completion that ends"


def test_a_model_that_says_nothing_has_reward_0_there_and_no_score_here(
    tuned: Path, tiny: SimpleNamespace, tmp_path: Path
) -> None:
    model = load_model(tuned, "cpu")
    with torch.no_grad():
        model.get_output_embeddings().weight[0, 0] = torch.nan
    save_model(model, load_tokenizer(tuned), tmp_path / "broken")
    table, _ = scored(tmp_path / "broken", tiny.rows["heldout"])
    assert (table["carl_compat"] == 0).all() and table["carl_aligned"].isna().all()


def test_scores_of_other_generations_refuse(tuned: Path, tiny: SimpleNamespace) -> None:
    rows = tiny.rows["heldout"]
    model, tokenizer = load_model(tuned, "cpu"), load_tokenizer(tuned)
    generations = generate(model, tokenizer, rows, **HOW).assign(arm="sft", seed=0)
    scores = score("grounding", rows, generations, CompositeWeights())
    with pytest.raises(ValueError, match="score the same generations"):
        rescore(model, tokenizer, generations, scores[scores["id"] != rows[0]["id"]], {})
