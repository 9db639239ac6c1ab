"""Differences to the control, what a label told before cannot have told, and an agent behind gates, by hand."""

import numpy as np
import pandas as pd
import pytest
from made import adapted, ended

from coherence.config.adapt import CONTROLS
from coherence.config.claims import ACTS, ADAPTED, AGENTS, GATES
from coherence.figures.adaptation import NEW, STREAM, calibrated, read_tables, summarise
from coherence.figures.adaptation_figure import NAMES, draw
from coherence.figures.adaptation_words import caption, table

OPTIONS = {"resamples": 200, "level": 0.95, "target_risk": 0.1, "wrong_cost": 2.0}
OK = {("sft", 0): "ok", ("sft", 1): "ok"}


@pytest.fixture(scope="module")
def answers() -> pd.DataFrame:
    return read_tables([adapted(0), adapted(1)])


@pytest.fixture(scope="module")
def data(answers: pd.DataFrame) -> pd.DataFrame:
    return summarise(answers, OPTIONS, OK)


def whole(data: pd.DataFrame, method: str, quantity: str, gate: str = "") -> float:
    rows = data[(data["method"] == method) & (data["quantity"] == quantity) & (data["gate"].fillna("") == gate)]
    return float(rows[rows["seed"].isna()]["estimate"].iloc[0])


def test_differences_are_to_the_control_prompt_by_prompt(data: pd.DataFrame) -> None:
    assert whole(data, "micro_label", "strict") == 0.75 and whole(data, "micro_still", "strict") == 0.5
    assert whole(data, "micro_label", "strict_difference") == 0.25
    assert whole(data, "micro_label", "nll_answering_difference") == pytest.approx(-0.15)
    assert whole(data, "micro_label", "nll_after_difference") == pytest.approx(-0.4)
    assert whole(data, "slot", "strict_difference") == 0
    assert data[(data["method"] == "none") & (data["quantity"] == "strict_difference")].empty


def test_prompts_about_a_unit_that_was_met_tell_nothing_of_new_ones(data: pd.DataFrame) -> None:
    assert whole(data, "micro_label", NEW) == 0, "what it learned was the labels of units that came again"


def test_an_agent_behind_each_gate(data: pd.DataFrame) -> None:
    assert whole(data, "none", "reward", "always") == whole(data, "none", "reward", "sigma") == (2 - 2 * 2) / 4
    assert whole(data, "none", "acted", "sigma") == 1, "no Phi is below the published threshold"
    assert whole(data, "none", "acted", "calibrated") == 0.5
    assert whole(data, "none", "acts_right", "calibrated") == 1
    assert whole(data, "none", "reward", "calibrated") == 2 / 4
    assert data[(data["method"] == "slot_leaking") & (data["quantity"] == "reward")].empty


def test_without_a_threshold_that_keeps_the_risk_the_agent_never_acts() -> None:
    part = pd.DataFrame({"phi": [0.9, 0.8, np.nan], "strict": [0.0, 1.0, 0.0]})
    assert calibrated(part, 0.1) == np.inf
    assert calibrated(part, 0.5) == 0.8


def test_accuracy_so_far(data: pd.DataFrame) -> None:
    rows = data[(data["quantity"] == "stream_accuracy") & (data["method"] == "micro") & (data["seed"] == 0)]
    assert rows["estimate"].tolist()[:4] == pytest.approx([1, 1 / 2, 2 / 3, 1 / 2])
    assert rows["position"].tolist() == [1, 2, 3, 4, 5, 6, 7, 8]


def test_words_and_panels(data: pd.DataFrame, answers: pd.DataFrame) -> None:
    settings = {
        "figure": OPTIONS,
        "adapt": {"slot": {"steps": 8, "learning_rate": 2e-3}, "micro": {"learning_rate": 1}},
    }
    text = " ".join(caption(data, answers, ended(OK), settings).split())
    assert "on 8 held-out prompts" in text and "(NLL 2.0000 to 1.0000)" in text and "acts on at least 100%" in text
    assert [row[0] for row in table(data).rows] == list(NAMES.values())
    assert len(draw(data).axes) == 4


def test_a_seed_whose_model_said_nothing_is_left_out() -> None:
    nothing = pd.DataFrame(columns=["method", "position", "seed"])
    assert read_tables([adapted(0), nothing])["seed"].unique().tolist() == [0]
    with pytest.raises(ValueError, match="nothing to draw"):
        read_tables([nothing])


def test_claims_may_take_what_there_is(data: pd.DataFrame) -> None:
    assert set(data["quantity"]) == {*ADAPTED, *ACTS, STREAM}
    acts = data[data["quantity"].isin(ACTS)]
    assert set(acts["gate"]) == set(GATES) and set(acts["method"]) == set(AGENTS)
    assert data.loc[data["quantity"].isin(ADAPTED), "gate"].isna().all()
    apart = data[data["quantity"].str.endswith("_difference")]
    assert set(apart["method"]) == set(CONTROLS)
