"""Markdown and LaTeX of a table, and the table of the constants."""

import pytest

from coherence.core.constant_checks import constant_checks
from coherence.figures.constants import caption, check_rows
from coherence.figures.constants import table as constants_table
from coherence.figures.tables import Table, markdown, to_markdown, to_tex


def test_markdown_lines_up_and_says_the_side() -> None:
    assert to_markdown(Table(["a", "n"], [["x|y", "1.50"]], ["l", "r"])) == (
        "| a    |    n |\n|:-----|-----:|\n| x\\|y | 1.50 |\n"
    )


def test_characters_that_mean_something_are_escaped() -> None:
    assert markdown("T*(3) < 4") == r"T\*(3) \< 4"
    row = to_tex(Table(["a"], [["50 % of a_b → Φ & 2^3 < {4}*"]], ["l"])).splitlines()[4]
    assert row.split("of")[1].split() == [
        r"a\_b",
        r"$\to$",
        r"$\Phi$",
        r"\&",
        r"2\^{}3",
        r"\ensuremath{<}",
        r"\{4\}$*$",
        r"\\",
    ]


def test_tex_is_a_booktabs_tabular_with_the_tables_own_columns() -> None:
    lines = to_tex(Table(["a", "n"], [["x", "1.50"]], ["l", "p{2cm}"])).splitlines()
    assert lines[0] == r"\begin{tabular}{lp{2cm}}" and lines[1] == r"\toprule"
    assert lines[4].split() == ["x", "&", "1.50", r"\\"] and lines[-1] == r"\end{tabular}"


def test_an_empty_table_refuses() -> None:
    with pytest.raises(ValueError, match="without a row"):
        Table(["a"], [], ["l"])
    with pytest.raises(ValueError, match="nothing to tabulate"):
        check_rows([])


def test_constants_are_counted_as_they_were_computed() -> None:
    checks = constant_checks()
    fallen = [check for check in checks if check.verdict == "fails"]
    assert f"{len(fallen)} fail" in " ".join(caption(checks).split())
    assert [row[0] for row in constants_table(checks).rows] == [check.verdict for check in checks]
