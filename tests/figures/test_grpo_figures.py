"""Rewards along GRPO, paid for or observed, and the coherence trap."""

import pandas as pd
import pytest
from made import ARMS, SHARED, grpo_run, scores, sft_run

from coherence.figures.arms import Bootstrap, Scores
from coherence.figures.coherence_trap import caption as trap_caption
from coherence.figures.coherence_trap import draw as draw_trap
from coherence.figures.coherence_trap import parts, trap, trapped
from coherence.figures.read import Run
from coherence.figures.reward_components import caption, components, draw, shown_rewards

RISING, FALLING = [0.5, 0.6, 0.7, 0.8], [0.4, 0.3, 0.1, 0.0]
SETTINGS = {"figure": {"smooth": 1, "resamples": 200, "level": 0.95}, "grpo": SHARED, "arms": ARMS, "task": "grounding"}
BOOTSTRAP = Bootstrap(200, 0.95)


@pytest.fixture
def runs() -> list[Run]:
    caught = grpo_run("carl", 0, RISING, "degenerate", **{"distinct_completions": [8, 6, 2, 1]})
    caught.metrics["task/click"] = FALLING
    return [sft_run(0), caught, grpo_run("task", 0, RISING)]


@pytest.fixture
def scored() -> pd.DataFrame:
    table = scores({("sft", 0): [1, 0, 1, 1], ("task", 0): [1, 1, 1, 1], ("carl", 0): [0, 0, 0, 0]})
    table["phi"] = table["arm"].map({"sft": 0.8, "task": 0.85, "carl": 0.99})
    return table


def test_rewards_that_no_arm_pays_are_not_shown() -> None:
    parts_of_carl = ["multiscale", "cloud_quality", "discontinuity", "carl"]
    assert shown_rewards("grounding", ARMS) == [*parts_of_carl, "click"]
    assert shown_rewards("tools", {"x": {"exact": 1, "format": 0.1}}) == [*parts_of_carl, "format", "exact"]


def test_every_reward_is_in_every_arm_and_says_where_it_is_paid(runs: list[Run]) -> None:
    data = components(runs[1:], "grounding", ARMS)
    assert (data.groupby(["arm", "reward"]).size() == 4).all() and data["reward"].nunique() == 5
    paid = data[data["paid"]].groupby("arm")["reward"].unique()
    assert set(paid["task"]) == {"click"}
    assert set(paid["carl"]) == {"multiscale", "cloud_quality", "discontinuity", "carl"}


def test_open_marks_stand_where_a_reward_is_only_observed(runs: list[Run]) -> None:
    figure = draw(components(runs[1:], "grounding", ARMS), 1)
    faces = {line.get_marker(): line.get_markerfacecolor() for line in figure.axes[4].get_lines()}
    assert faces["^"] == "white" and faces["s"] != "white", "carl is a triangle, task a square"
    assert len(figure.axes) == 5, "no empty panel"


def test_caption_of_the_rewards_says_what_moves(runs: list[Run]) -> None:
    text = caption(components(runs[1:], "grounding", ARMS), runs[1:], SETTINGS)
    assert "task reward: click 0.50 to 0.80 (task), 0.40 to 0.00 (carl)" in text
    assert "The arms pay: task 1 click; carl 0.5 carl." in text
    assert "Dashed: carl seed 0 (degenerate)." in text


def test_a_run_without_a_reward_at_some_steps_lacks_those_rows() -> None:
    gap = [0.5, float("nan"), 0.7]
    data = components([grpo_run("task", 0, gap)], "grounding", {"task": {"click": 1.0}})
    assert data[data["reward"] == "click"]["step"].tolist() == [1, 3]


def test_the_trap_is_above_in_phi_and_below_in_accuracy(runs: list[Run], scored: pd.DataFrame) -> None:
    data = trap(runs, scored, "grounding", BOOTSTRAP)
    heldout = data[data["split"] == "heldout"].set_index("arm")
    assert list(heldout.index) == ["sft", "task", "carl"]
    assert heldout.loc["carl", ["phi", "accuracy", "accuracy_high"]].tolist() == pytest.approx([0.99, 0, 0])
    assert heldout.loc["sft", "accuracy"] == 0.75 and heldout.loc["sft", "accuracy_low"] < 0.75
    assert trapped(data) == ["carl"]
    assert trapped(trap(runs, scored.assign(phi=0.8), "grounding", BOOTSTRAP)) == []


def test_the_caption_of_the_trap_tells_the_way_of_each_arm(runs: list[Run], scored: pd.DataFrame) -> None:
    data = trap(runs, scored, "grounding", BOOTSTRAP)
    text = " ".join(trap_caption(data, runs, Scores(scored, 2), SETTINGS).split())
    assert "carl: Φ 0.50 to 0.80, accuracy 0.40 to 0.00, distinct 8 to 1" in text
    assert "intervals off zero): carl (Φ +0.190 [" in text
    assert "2 items without a score somewhere are left out." in text
    assert "learning rate 0.001" in text and "carl seed 0 (degenerate)" in text


def test_training_is_cut_into_parts_of_the_longest_run(runs: list[Run]) -> None:
    long = grpo_run("task", 1, [0.1] * 10 + [0.3] * 10)
    training = trap([long, grpo_run("task", 0, [0.2] * 3)], scores({("sft", 0): [1]}), "grounding", BOOTSTRAP)
    table = parts(training[training["split"] == "training"]).set_index(["seed", "part"])["phi"]
    assert table[1].tolist() == pytest.approx([0.1] * 5 + [0.3] * 5)
    assert table[0].tolist() == pytest.approx([0.2, 0.2]), "two steps to a part, the last one not full"


def test_a_run_that_ended_otherwise_is_dashed_in_every_panel(runs: list[Run], scored: pd.DataFrame) -> None:
    figure = draw_trap(trap(runs, scored, "grounding", BOOTSTRAP), 1, SHARED)
    assert [sum(line.get_linestyle() == "--" for line in ax.get_lines()) for ax in figure.axes] == [1, 1, 1]


def test_one_run_is_drawn_too(scored: pd.DataFrame) -> None:
    one = [grpo_run("carl", 0, RISING)]
    assert len(draw(components(one, "grounding", ARMS), 3).axes) == 5
    assert len(draw_trap(trap(one, scored, "grounding", BOOTSTRAP), 3, SHARED).axes) == 3


def test_an_arm_whose_difference_to_the_start_may_be_none_is_not_trapped(runs: list[Run]) -> None:
    """Above in Phi and below in accuracy on average, by one item of eight."""
    table = scores({("sft", 0): [1, 0] * 4, ("carl", 0): [1, 0] * 3 + [0, 0]})
    table["phi"] = table["arm"].map({"sft": 0.8, "carl": 0.99})
    assert trapped(trap(runs, table, "grounding", BOOTSTRAP)) == []


def test_held_out_marks_are_of_sampled_completions_and_their_units(runs: list[Run]) -> None:
    table = scores({("sft", 0): [1, 1, 0, 0] * 4})
    table.loc[table["mode"] == "greedy", "strict"] = 1

    def mark(table: pd.DataFrame) -> pd.Series:  # type: ignore[type-arg]
        data = trap(runs, table, "grounding", BOOTSTRAP)
        return data[data["split"] == "heldout"].iloc[0]

    by_unit, alone = mark(table), mark(table.assign(unit=table["id"]))
    assert by_unit["accuracy"] == 0.5, "half of the sampled ones are right, all of the greedy ones"
    widths = [row["accuracy_high"] - row["accuracy_low"] for row in (by_unit, alone)]
    assert widths[0] > 1.2 * widths[1], "two items to a unit: there are half as many of them"


def test_a_held_out_mark_is_open_where_a_run_did_not_end_ok(runs: list[Run], scored: pd.DataFrame) -> None:
    data = trap([sft_run(0, gate_step=None), *runs[1:]], scored, "grounding", BOOTSTRAP)
    faces = {line.get_marker(): line.get_markerfacecolor() for line in draw_trap(data, 1, SHARED).axes[0].get_lines()}
    assert faces["o"] == faces["^"] == "white" != faces["s"], "the start and carl; task ended ok"


def test_a_run_that_ended_before_its_first_step_is_left_out_of_lines(runs: list[Run], scored: pd.DataFrame) -> None:
    none = Run("task+carl", 0, {"status": "over_nan_budget"}, pd.DataFrame())
    with_it = scored[scored["arm"] == "task"].assign(arm="task+carl")
    data = trap([*runs, none], pd.concat([scored, with_it]), "grounding", BOOTSTRAP)
    assert len(draw_trap(data, 1, SHARED).axes) == 3
    assert "task+carl seed 0 (over nan budget)" in trap_caption(data, [*runs, none], Scores(scored, 0), SETTINGS)
    rewards = components([*runs[1:], none], "grounding", ARMS)
    assert set(rewards["arm"]) == {"carl", "task"}
    with pytest.raises(ValueError, match="none of 1 runs logged a step: there is nothing to draw"):
        components([none], "grounding", ARMS)


def test_the_trap_is_judged_item_by_item() -> None:
    """Items differ far more than the arms: the arms' own intervals overlap, their difference is the same in all."""
    known = {"sft": [1.0, 1.0, 0.2, 0.2] * 2, "carl": [0.8, 0.8, 0.0, 0.0] * 2}
    table = scores({(arm, seed): values for arm, values in known.items() for seed in range(4)})
    table["phi"] = table["arm"].map({"sft": 0.8, "carl": 0.99})
    data = trap([grpo_run("carl", 0, RISING)], table, "grounding", BOOTSTRAP)
    rows = data[data["split"] == "heldout"].set_index("arm")
    assert rows.loc["carl", "accuracy_high"] > rows.loc["sft", "accuracy_low"]
    assert trapped(data) == ["carl"]
