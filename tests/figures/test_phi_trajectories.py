"""Phi per token position and per step, where punctuation stands, and how tokens are shown on an axis."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made import generations, grpo_run, sft_run, tokenizer_folder
from tokenizers import Tokenizer

from coherence.figures.curves import bold_curve, median_curve
from coherence.figures.phi_trajectories import (
    draw,
    example_tokens,
    greedy_tokens,
    jumps_at_boundaries,
    punctuation_spans,
    read_tokenizer,
    token_phi,
    trajectories,
)

Phi = Mapping[tuple[str, int], Sequence[Sequence[float]]]


@pytest.fixture
def tokenizer(tmp_path: Path) -> Tokenizer:
    return read_tokenizer(tokenizer_folder(tmp_path / "base"))


def tokens(tokenizer: Tokenizer, phi: Phi) -> pd.DataFrame:
    """The ids of a completion are 0, 1, 2, 3: click ( 7 <end>."""
    return greedy_tokens(generations(phi), tokenizer)


def test_tokens_have_their_place_text_and_kind(tokenizer: Tokenizer) -> None:
    table = tokens(tokenizer, {("sft", 0): [[1.0, 0.5, 0.9, 1.0], [0.8]]})
    assert table["x"].tolist() == [1, 2, 3, 4, 1]
    assert table["token"].tolist() == ["click", "(", "7", "<end>", "click"]
    assert table["punctuation"].tolist() == [False, True, False, True, False]


def test_token_phi_averages_over_completions_that_reach_a_position(tokenizer: Tokenizer) -> None:
    phi = {("sft", 0): [[1.0, 0.5, 0.9], [0.8, 0.7]], ("sft", 1): [[0.6], [0.4], [0.2, 0.9]]}
    table = token_phi(tokens(tokenizer, phi), 4)
    first = table[table["seed"] == 0]
    assert first["x"].tolist() == [1, 2, 3]
    assert first["phi"].tolist() == pytest.approx([0.9, 0.6, 0.9])
    assert first["punctuation"].tolist() == [0, 1, 0]
    assert table[table["seed"] == 1]["x"].tolist() == [1], "one of three completions is less than half"


def test_token_phi_shows_only_the_asked_positions(tokenizer: Tokenizer) -> None:
    assert token_phi(tokens(tokenizer, {("sft", 0): [[1.0, 0.5, 0.9]]}), 2)["x"].tolist() == [1, 2]


def test_the_example_is_a_typical_completion_of_the_start(tokenizer: Tokenizer) -> None:
    table = tokens(tokenizer, {("sft", 0): [[1.0] * 2, [1.0] * 4, [1.0] * 4], ("task", 0): [[1.0] * 3] * 5})
    assert example_tokens(table) == ["click", "(", "7", "<end>"]


def test_jumps_are_counted_at_boundaries_within_completions_only(tokenizer: Tokenizer) -> None:
    table = tokens(tokenizer, {("sft", 0): [[1.0, 0.5, 0.51, 1.0], [0.1, 0.1, 0.1, 0.1]]})
    assert jumps_at_boundaries(table) == (1.0, 1.0), "every neighbour of these is at a boundary"
    flat = table.assign(punctuation=[False, True, True, True] * 2)
    at, chance = jumps_at_boundaries(flat)
    assert (at, chance) == (0.5, pytest.approx(1 / 3)), "jumps: click to (, 7 to <end>"
    assert np.isnan(jumps_at_boundaries(flat.assign(phi=1.0))[0])


def test_spans_of_punctuation_are_runs_of_positions() -> None:
    data = pd.DataFrame({"x": [1, 2, 3, 4, 5], "punctuation": [0.2, 0.9, 0.6, 0.1, 1.0]})
    assert punctuation_spans(data) == [(2, 3), (5, 5)]


def test_bold_is_the_median_over_seeds_where_the_running_median_is_whole() -> None:
    data = pd.DataFrame({"seed": [0] * 5 + [1] * 5, "x": [1, 2, 3, 4, 5] * 2, "phi": [0, 1, 0, 0, 0, 0, 1, 0, 1, 0]})
    assert median_curve(data, "x", "phi").tolist() == [0, 1, 0, 0.5, 0]
    assert bold_curve(data, "x", "phi", 3).to_dict() == {2: 0, 3: 0.5, 4: 0}
    assert len(bold_curve(data, "x", "phi", 5)) == 5, "all of a curve that is no longer than the window"


def test_both_panels_in_one_table(tokenizer: Tokenizer) -> None:
    runs = [grpo_run("carl", 0, [0.5, np.nan, 0.7], "over_nan_budget"), grpo_run("task", 0, [0.5, 0.6, 0.6])]
    runs.append(sft_run(0, gate_step=None))
    data = trajectories(tokens(tokenizer, {(arm, 0): [[1.0, 0.5]] for arm in ("carl", "task", "sft")}), runs, 4)
    assert data.groupby("panel").size().to_dict() == {"step": 5, "token": 6}, "a step without Phi has no row"
    assert data.loc[data["panel"] == "token", "arm"].unique().tolist() == ["sft", "task", "carl"]
    assert data.loc[data["arm"] == "carl", "status"].unique().tolist() == ["over_nan_budget"]
    assert data.loc[data["arm"] == "sft", "status"].unique().tolist() == ["not_crystallized"]
    assert data.loc[data["arm"] == "sft", "token"].tolist() == ["click", "("]
    dashed = [line for line in draw(data, 3).axes[1].get_lines() if line.get_linestyle() == "--"]
    assert len(dashed) == 1
    with pytest.raises(KeyError):
        trajectories(tokens(tokenizer, {("sft", 0): [[1.0]]}), runs[:2], 4)


def test_no_data_refuses(tokenizer: Tokenizer) -> None:
    with pytest.raises(ValueError, match="no greedy completion"):
        greedy_tokens(generations({("sft", 0): [[1.0]]}).assign(mode="sampled"), tokenizer)
    with pytest.raises(ValueError, match="none of 0 runs logged a step"):
        trajectories(tokens(tokenizer, {("sft", 0): [[1.0]]}), [sft_run(0)], 4)
