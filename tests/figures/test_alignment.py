"""Both scorings side by side: known cases, how well each tells right from wrong, and what has no score."""

import numpy as np
import pandas as pd
import pytest
from made import compat_scores, ended, ok

from coherence.figures.alignment import alignment, known_cases, means, scored, separation, two_faced
from coherence.figures.alignment_figure import draw
from coherence.figures.alignment_words import area, caption, table
from coherence.figures.arms import Bootstrap

OPTIONS = {"resamples": 200, "level": 0.95}
BOOTSTRAP = Bootstrap(**OPTIONS)
STRICT = {("sft", 0): [1, 0, 1, 0], ("sft", 1): [0, 0, 1, 1], ("task", 0): [1, 1, 1, 1], ("task", 1): [1, 1, 0, 1]}


def estimate(data: pd.DataFrame, arm: str, convention: str, seed: int | None = None) -> float:
    rows = data[(data["arm"] == arm) & (data["convention"] == convention)]
    return float(rows[rows["seed"].isna() if seed is None else rows["seed"] == seed]["estimate"].iloc[0])


def test_known_cases_have_their_known_scores() -> None:
    cases = known_cases().set_index("case")
    assert cases["compat"].tolist() == [0.6, 0.8625, 0.8994, 0.63, 0.0, 0.6], "the recorded vectors"
    assert cases["aligned"].tolist() == pytest.approx([0.9] * 5 + [0.6])
    assert cases["published"].dropna().to_dict() == {"collapsed on one answer": 0.55}


def test_a_score_that_follows_accuracy_separates_and_a_constant_one_does_not() -> None:
    data = separation(compat_scores(STRICT), BOOTSTRAP)
    assert estimate(data, "sft", "aligned") == estimate(data, "sft", "aligned", 0) == 1
    assert estimate(data, "sft", "compat") == 0.5
    whole = data[data["seed"].isna() & (data["arm"] == "sft")].set_index("convention")
    assert whole.loc["aligned", ["low", "high"]].tolist() == [1, 1]


def test_a_checkpoint_that_is_always_right_has_no_separation_and_the_mean_leaves_it_out() -> None:
    data = separation(compat_scores(STRICT), BOOTSTRAP)
    assert np.isnan(estimate(data, "task", "aligned", 0))
    assert estimate(data, "task", "aligned") == 1
    right = compat_scores({("task", 0): [1, 1]})
    none = alignment(right, BOOTSTRAP, ok(right))
    assert area(none, "task", "aligned") == "-"
    assert len(draw(none).axes) == 3


def test_another_arm_changes_no_interval() -> None:
    both = separation(compat_scores(STRICT), BOOTSTRAP)
    alone = separation(compat_scores({cell: values for cell, values in STRICT.items() if cell[0] == "sft"}), BOOTSTRAP)
    pd.testing.assert_frame_equal(both[both["arm"] == "sft"].reset_index(drop=True), alone)


def test_texts_that_are_right_here_and_wrong_there_are_counted_per_checkpoint() -> None:
    assert two_faced(compat_scores(STRICT)) == 3


def test_completions_without_a_score_are_left_out_and_told() -> None:
    completions = compat_scores(STRICT)
    completions.loc[0, "carl_aligned"] = np.nan
    data, averages = alignment(completions, BOOTSTRAP, ok(completions)), means(completions)
    assert len(data[data["panel"] == "completion"]) == len(completions) - 1
    text = " ".join(caption(completions, averages, data, [], OPTIONS).split())
    assert "1 completions without a score are left out." in text
    assert "it gives 0.63 where the formula gives 0.90; the paper published about 0.55." in text
    with pytest.raises(ValueError, match="nothing to draw"):
        scored(completions.assign(carl_compat=np.nan))


def test_table_goes_from_the_aligned_score_to_the_reference_files() -> None:
    completions = compat_scores(STRICT)
    rows = table(means(completions), alignment(completions, BOOTSTRAP, ok(completions))).rows
    assert [row[0] for row in rows] == ["SFT start", "task"]
    assert rows[0][1:7] == ["0.500", "0.800", "0.800", "0.800", "0.800", "0.590"]
    assert rows[0][7:] == ["1.00 [1.00, 1.00]", "0.50 [0.50, 0.50]"]


def width(table: pd.DataFrame) -> float:
    """Of the aligned AUROC's interval over all seeds."""
    data = separation(table, BOOTSTRAP)
    whole = data[data["seed"].isna() & (data["convention"] == "aligned")].iloc[0]
    assert 0 <= whole["low"] <= whole["estimate"] <= whole["high"] <= 1
    return float(whole["high"] - whole["low"])


def test_seeds_that_differ_on_items_that_do_not_give_a_wide_interval() -> None:
    """Every unit is the same, so only seeds vary: AUROC is 1 in one half of them and 0 in the other."""
    table = compat_scores({("task", seed): [1, 0] * 8 for seed in range(4)})
    assert width(table) == 0
    backwards = table["seed"] % 2 == 1
    table.loc[backwards, "carl_aligned"] = 1 - table["carl_aligned"]
    assert width(table) == 1


def test_units_that_differ_under_seeds_that_do_not_give_a_wide_interval() -> None:
    """Every seed is the same, so only units vary: some follow accuracy, others go against it."""
    table = compat_scores({("task", seed): [1, 0] * 8 for seed in range(4)})
    against = table["unit"].isin([f"u{n}" for n in range(0, 8, 2)])
    table.loc[against, "carl_aligned"] = 1 - table["carl_aligned"]
    assert width(table) > 0.3


def test_a_seed_whose_run_ended_otherwise_is_a_cross_and_told() -> None:
    table = compat_scores(STRICT)
    status = ok(table) | {("sft", 1): "not_crystallized"}
    data = alignment(table, BOOTSTRAP, status)
    assert [line.get_marker() for line in draw(data).axes[1].get_lines()].count("x") == 2, "both scorings"
    text = " ".join(caption(table, means(table), data, ended(status), OPTIONS).split())
    assert "Crosses, and in every mean: SFT start seed 1 (not crystallized)." in text
