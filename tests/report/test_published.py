"""The main table of the README, from made scores whose columns all differ."""

from pathlib import Path

import pandas as pd
import pytest
from figures.made import ok, scores

from coherence.figures.arms import Bootstrap, summarise
from coherence.report import published


@pytest.fixture
def row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Cells of the arm `carl`: greedy, one of four right, against all four in `task`; sampled, none in both."""
    strict = {
        ("task", 0): [1, 1, 1, 1],
        ("task", 1): [1, 1, 1, 1],
        ("carl", 0): [1, 0, 0, 0],
        ("carl", 1): [1, 0, 0, 0],
    }
    table = scores(strict, phi=0.91, carl=0.72)
    table.loc[table["mode"] == "sampled", "strict"] = 0
    status = ok(table) | {("carl", 0): "over_nan_budget"}
    summarise(table, "task", Bootstrap(200, 0.95), status).to_parquet(tmp_path / "arms.parquet")
    options = {"reference": "task", "resamples": 200, "level": 0.95}
    monkeypatch.setattr(published, "told", lambda folder, name: options)
    text = published.results(tmp_path)
    assert "widened by Student's t for 2 seeds" in text
    (line,) = (line for line in text.splitlines() if line.startswith("| carl"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_every_cell_stands_under_its_header(row: list[str]) -> None:
    assert row[:2] == ["carl", "1 over nan budget, 1 ok"]
    assert row[2].startswith("0.250 [0.000, "), "greedy accuracy"
    assert row[3].startswith("-0.750 ["), "greedy difference; the sampled one is 0"
    assert row[4:] == ["0.910", "0.720", "4"], "Phi, CARL, distinct answers"


def test_a_change_of_nothing_has_no_sign_of_its_own(tmp_path: Path) -> None:
    means = {"strict": [0.5, 0.5], "carl_aligned": [0.7, 0.712], "carl_compat": [0.57, 0.568]}
    pd.DataFrame({"arm": ["sft", "carl"], **means}).to_csv(tmp_path / "alignment.csv")
    assert published.moves(tmp_path) == {"carl": ["+0.00", "+0.01", "+0.00"]}
