"""Phi per token position and per step, and how tokens are shown on an axis."""

import numpy as np
import pandas as pd
import pytest
from made import generations, grpo_run
from tokenizers import AddedToken, Tokenizer, models

from coherence.figures.phi_trajectories import example_tokens, mean_curve, step_phi, token_phi, trajectories


@pytest.fixture
def tokenizer() -> Tokenizer:
    words = {"click": 0, " ": 1, "7": 2}
    made = Tokenizer(models.WordLevel(words, unk_token="click"))
    made.add_special_tokens([AddedToken("<|im_end|>", special=True)])
    return made


def test_token_phi_averages_over_completions_that_reach_a_position() -> None:
    table = token_phi(
        generations({("sft", 0): [[1.0, 0.5, 0.9], [0.8, 0.7]], ("sft", 1): [[0.6], [0.4], [0.2, 0.9]]}), 4
    )
    first = table[table["seed"] == 0]
    assert first["x"].tolist() == [1, 2, 3]
    assert first["phi"].tolist() == pytest.approx([0.9, 0.6, 0.9])
    assert table[table["seed"] == 1]["x"].tolist() == [1], "one of three completions is less than half"


def test_token_phi_shows_only_the_asked_positions() -> None:
    assert token_phi(generations({("sft", 0): [[1.0, 0.5, 0.9]]}), 2)["x"].tolist() == [1, 2]


def test_tokens_are_shown_so_that_they_can_be_read(tokenizer: Tokenizer) -> None:
    table = generations({("sft", 0): [[1.0] * 2, [1.0] * 4, [1.0] * 4], ("task", 0): [[1.0] * 3] * 5})
    assert example_tokens(table, tokenizer) == ["click", "\N{OPEN BOX}", "7", "<end>"]


def test_mean_curve_is_the_mean_over_seeds_where_the_median_is_whole() -> None:
    data = pd.DataFrame({"seed": [0] * 5 + [1] * 5, "x": [1, 2, 3, 4, 5] * 2, "phi": [0, 1, 0, 0, 0, 0, 1, 0, 1, 0]})
    assert mean_curve(data).tolist() == [0, 1, 0, 0.5, 0]
    assert mean_curve(data, 3).to_dict() == {2: 0, 3: 0.5, 4: 0}


def test_both_panels_in_one_table(tokenizer: Tokenizer) -> None:
    runs = [grpo_run("carl", 0, [0.5, np.nan, 0.7], "over_nan_budget"), grpo_run("task", 0, [0.5, 0.6, 0.6])]
    stored = generations({(arm, 0): [[1.0, 0.5]] for arm in ("carl", "task", "sft")})
    data = trajectories(stored, runs, tokenizer, 4)
    assert data.groupby("panel").size().to_dict() == {"step": 5, "token": 6}, "a step without Phi has no row"
    assert data.loc[data["panel"] == "token", "arm"].unique().tolist() == ["sft", "task", "carl"]
    assert data.loc[data["arm"] == "carl", "status"].unique().tolist() == ["over_nan_budget"]
    assert data.loc[data["arm"] == "sft", "token"].tolist() == ["click", "\N{OPEN BOX}"]


def test_no_data_refuses() -> None:
    with pytest.raises(ValueError, match="no greedy completion"):
        token_phi(generations({("sft", 0): [[1.0]]}).assign(mode="sampled"), 4)
    with pytest.raises(ValueError, match="no GRPO run"):
        step_phi([])
