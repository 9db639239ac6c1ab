"""What separates right from wrong, on tables whose answer is known: a score that knows, one that does not, promises."""

import numpy as np
import pandas as pd
import pytest
from made import ended, generations, ok, scores

from coherence.config.claims import CONFIDENCE, COVERAGE
from coherence.config.claims import REFERENCE as CLAIMED_REFERENCE
from coherence.figures.risk_coverage import GATE, ORDERS, REFERENCE, SCORES, confidences, summarise
from coherence.figures.risk_coverage_figure import draw
from coherence.figures.risk_coverage_words import caption, table

OPTIONS = {"resamples": 200, "level": 0.95, "target_risk": 0.2, "halvings": 2}
STRICT = {("sft", 0): [1, 0] * 20, ("sft", 1): [0, 1] * 20, ("task", 0): [1] * 40, ("task", 1): [1] * 39 + [0]}

RUNS = ended(dict.fromkeys(STRICT, "ok"))


def made(**columns: list[float]) -> pd.DataFrame:
    """Phi knows (0.9 for a right answer, 0.5 for a wrong one), mean ln P is the same everywhere."""
    given = scores(STRICT)
    given["phi"] = 0.5 + 0.4 * given["strict"]
    given["logp"] = -0.1
    return confidences(given, generations({cell: [[0.9, 0.5]] * 40 for cell in STRICT}), RUNS)


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    items = made()
    return summarise(items, OPTIONS, ok(items))


def whole(data: pd.DataFrame, arm: str, score: str, quantity: str) -> pd.Series:
    rows = data[(data["arm"] == arm) & (data["score"] == score) & (data["quantity"] == quantity)]
    return rows[rows["seed"].isna()].iloc[0]


def test_a_score_that_knows_separates_and_one_that_is_constant_does_not(data: pd.DataFrame) -> None:
    assert whole(data, "sft", "phi", "auroc")[["estimate", "low", "high"]].tolist() == [1, 1, 1]
    assert whole(data, "sft", "logp", "auroc")[["estimate", "low", "high"]].tolist() == [0.5, 0.5, 0.5]
    assert whole(data, "sft", "phi", "auroc_difference")["estimate"] == 0.5
    areas = {score: whole(data, "sft", score, "aurc")["estimate"] for score in ("phi", "perfect", "logp", "random")}
    assert areas["phi"] == areas["perfect"] < areas["logp"] == areas["random"] == 0.5


def test_probabilities_come_from_the_stored_tokens() -> None:
    row = made().iloc[0]
    assert row["prob_min"] == pytest.approx(np.exp(-0.2))
    assert row["prob_mean"] == pytest.approx((np.exp(-0.1) + np.exp(-0.2)) / 2)


def test_few_wrong_answers_have_no_interval_and_a_seed_without_one_is_left_out(data: pd.DataFrame) -> None:
    found = whole(data, "task", "phi", "auroc")
    assert found["estimate"] == 1 and np.isnan(found["low"])
    rows = data[(data["arm"] == "task") & (data["quantity"] == "auroc") & (data["score"] == "phi")]
    assert rows[rows["seed"] == 0]["estimate"].isna().all()


def test_the_published_threshold_never_abstains_and_a_knowing_score_keeps_its_promise(data: pd.DataFrame) -> None:
    assert whole(data, "sft", "phi", "sigma_coverage")["estimate"] == 1
    assert whole(data, "sft", "phi", "sigma_risk")["estimate"] == 0.5
    assert whole(data, "sft", "phi", "promise_kept")[["estimate", "low"]].tolist() == [1, 1]
    assert whole(data, "sft", "phi", "promise_coverage")["estimate"] == pytest.approx(0.5)
    assert whole(data, "sft", "logp", "promise_made")["estimate"] == 0, "half of a tie is wrong: nothing is promised"
    assert np.isnan(whole(data, "sft", "logp", "promise_kept")["estimate"])


def test_words_tell_what_is_few(data: pd.DataFrame) -> None:
    items = made()
    text = " ".join(caption(data, items, ended(ok(items)), OPTIONS, 2).split())
    assert "40 held-out prompts about 20 units" in text
    assert "task 0 to 1 (0 to 1 units)" in text
    assert "completion is 0.50, so the gate never abstains (0 of 20 units: at most 14%, at 95%)" in text
    rows = table(data).rows
    assert [row[1] for row in rows[:2]] == ["\u03a6", "cloud quality"] and rows[0][3:5] == [
        "1.00 [1.00, 1.00]",
        "+0.50 [+0.50, +0.50]",
    ]
    assert len(draw(data, 0.2).axes) == 3


def test_items_without_a_score_are_left_out_for_all() -> None:
    given = scores(STRICT)
    given.loc[given["id"] == "i3", "carl"] = np.nan
    items = confidences(given, generations({cell: [[0.9]] * 40 for cell in STRICT}), RUNS)
    assert items["id"].nunique() == 39
    stopped = ended({**dict.fromkeys(STRICT, "ok"), ("sft", 1): "degenerate"})
    kept = confidences(given, generations({cell: [[0.9]] * 40 for cell in STRICT}), stopped)
    assert set(kept.loc[kept["arm"] == "sft", "seed"]) == {0}
    with pytest.raises(ValueError, match="nothing to draw"):
        confidences(given.assign(phi=np.nan), generations({cell: [[0.9]] * 40 for cell in STRICT}), RUNS)


def test_a_score_that_knows_nothing_breaks_its_promises() -> None:
    items = made()
    items["phi"] = np.random.default_rng(0).permutation(len(items)) / len(items)
    found = summarise(items, OPTIONS, ok(items))
    assert whole(found, "sft", "phi", "promise_made")["estimate"] > 0.1
    assert whole(found, "sft", "phi", "promise_kept")["estimate"] < 0.6
    assert whole(found, "sft", "phi", "promise_risk")["estimate"] > OPTIONS["target_risk"]


def test_claims_may_take_what_there_is(data: pd.DataFrame) -> None:
    assert set(CONFIDENCE) == set(SCORES) and CLAIMED_REFERENCE == REFERENCE
    pooled = data[data["seed"].isna()]
    for quantity in COVERAGE:
        own = set(pooled.loc[pooled["quantity"] == quantity, "score"]) - set(ORDERS)
        assert own == ({GATE} if quantity.startswith(("sigma", "lowest")) else set(SCORES)), quantity
