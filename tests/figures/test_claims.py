"""Verdicts from made tables: each kind, families, what is missing, and what is named wrongly."""

import importlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from coherence.config.claims import Claim
from coherence.core.constant_checks import constant_checks
from coherence.figures.claims import judge
from coherence.figures.claims_figure import draw
from coherence.figures.claims_words import caption, table
from coherence.figures.constants import check_rows

ROWS = [
    ("a", 0.30, 0.20, 0.40, 5),
    ("b", -0.30, -0.40, -0.20, 5),
    ("c", 0.05, -0.20, 0.30, 5),
    ("few", 0.30, 0.20, 0.40, 2),
    ("same", 1.00, 1.00, 1.00, 5),
    ("some", 0.90, 0.60, 1.00, 4),
    ("none", 0.30, np.nan, np.nan, 5),
]


def data() -> dict[str, pd.DataFrame]:
    pooled = pd.DataFrame(ROWS, columns=["arm", "estimate", "low", "high", "seeds"]).assign(seed=None, freedom=4.0)
    own = pooled.assign(seed=0, estimate=99.0)
    contrasts = pd.concat([pooled, own], ignore_index=True).assign(quantity="strict", against=None)
    return {"contrasts": contrasts, "constants": check_rows(constant_checks())}


def claim(**how: object) -> Claim:
    told = {"claim": "words", "source": "somewhere", "family": "one"} | how
    return Claim.parse(told, "claim")


def about(arm: str, comparator: str = ">", **how: object) -> Claim:
    take = {"arm": arm, "quantity": "strict", "against": None}
    return claim(figure="contrasts", take=take, comparator=comparator, threshold=0.0, **how)


CLAIMS = {
    "yes": about("a"),
    "no": about("a", "<"),
    "down": about("b", "<"),
    "perhaps": about("c"),
    "few": about("few"),
    "gone": about("nobody"),
    "same": about("same"),
    "none": about("none"),
    "some": about("some"),
    "irrational": claim(figure="constants", take={"name": "t_star_irrational"}),
    "product": claim(figure="constants", take={"name": "t_star_384"}),
    "empty": claim(figure="constants", take={"name": "conservation"}),
    "closed": claim(not_testable="nobody has the data"),
}


@pytest.fixture
def judged() -> pd.DataFrame:
    return judge(CLAIMS, data(), 0.95, 5).set_index("claim")


def test_each_claim_gets_its_verdict(judged: pd.DataFrame) -> None:
    assert judged["verdict"].to_dict() == {
        "yes": "supported",
        "no": "refuted",
        "down": "supported",
        "perhaps": "inconclusive",
        "few": "not testable here",
        "gone": "not testable here",
        "same": "inconclusive",
        "none": "not testable here",
        "some": "supported",
        "irrational": "refuted",
        "product": "supported",
        "empty": "not testable here",
        "closed": "not testable here",
    }
    assert judged.loc["few", "why"] == "2 runs are left to test it, 3 are needed"
    assert judged.loc["same", "why"] == "all runs gave the same number"
    assert "cannot be told" in judged.loc["none", "why"]
    assert judged.loc["some", "why"].startswith("4 of 5 runs have this number; detectable: ")
    margins = judged[["margin", "margin_low", "margin_high"]]
    assert margins.loc["yes"].tolist() == pytest.approx([3, 2, 4])
    assert margins.loc["no"].tolist() == pytest.approx([-3, -4, -2]), "the claimed side is to the right"
    assert margins.loc["some"].tolist() == pytest.approx([3, 2, 10 / 3]), "clipped at 1: not as wide there"


def test_a_family_corrects_and_other_families_do_not() -> None:
    alone = judge({"x": about("c", family="alone")}, data(), 0.95, 5)
    many = judge({f"x{n}": about("c") for n in range(4)} | {"y": about("c", family="other")}, data(), 0.95, 5)
    p = many.set_index("claim")["p"]
    assert p["y"] == alone["p"].iloc[0] and p["x0"] == min(1.0, 4 * p["y"])


def test_table_figure_and_caption_tell_the_same(judged: pd.DataFrame) -> None:
    rows = {row[0]: row for row in table(judged.reset_index()).rows}
    assert rows["yes"][1:5] == ["supported", "words", "0.3 [0.2, 0.4]", "> 0"]
    assert rows["closed"][3] == "nobody has the data"
    assert "13 claims: 4 supported, 2 refuted, 2 inconclusive, 5 not testable here" in " ".join(
        caption(judged.reset_index(), 0.95).split()
    )
    labels = [text.get_text() for text in draw(judged.reset_index()).axes[0].get_yticklabels()]
    assert labels == ["yes", "no", "down", "perhaps", "some"]


def test_what_is_named_wrongly_is_said() -> None:
    with pytest.raises(ValueError, match="have no column 'armm'"):
        judge({"x": claim(figure="contrasts", take={"armm": "a"}, comparator=">", threshold=0.0)}, data(), 0.95, 5)
    with pytest.raises(ValueError, match="7 rows of 'contrasts' are meant"):
        judge(
            {"x": claim(figure="contrasts", take={"quantity": "strict"}, comparator=">", threshold=0.0)},
            data(),
            0.95,
            5,
        )
    with pytest.raises(ValueError, match="no such row in 'constants'"):
        judge({"x": claim(figure="constants", take={"name": "t"})}, data(), 0.95, 5)


def test_infinite_margins_are_drawn() -> None:
    made = judge({"x": about("a")}, data(), 0.95, 5).assign(margin=np.inf)
    assert draw(made).axes[0].get_xlim()[1] > 6


def test_what_other_numbers_of_seeds_could_tell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    power = importlib.import_module("power")
    judge(CLAIMS, data(), 0.95, 5).to_parquet(tmp_path / "claims.parquet")
    power.main(tmp_path / "claims.parquet", seeds=(3, 5, 20))
    rows = {line.split("|")[1].strip(): line.split("|")[2:6] for line in capsys.readouterr().out.splitlines()[2:-2]}
    assert set(rows) == {"yes", "no", "down", "perhaps", "some"}
    found, few, _, many = map(float, rows["perhaps"])
    assert found == 0.05 and few > 2 * many > 0
    with pytest.raises(ValueError, match="no such file"):
        power.main(tmp_path / "nothing.parquet")
