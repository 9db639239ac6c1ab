"""The published constants and what exact arithmetic says about them, as a table."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict

import pandas as pd

from coherence.core.constant_checks import ConstantCheck
from coherence.figures.tables import Table, markdown


def check_rows(checks: Sequence[ConstantCheck]) -> pd.DataFrame:
    """One row per statement; ValueError where there is none."""
    if not checks:
        raise ValueError("no statement was checked: there is nothing to tabulate")
    return pd.DataFrame([asdict(check) for check in checks])


def table(checks: Sequence[ConstantCheck]) -> Table:
    """Verdict first, then statement, expectation, what was computed, and why."""
    headers = ["verdict", "kind", "statement", "expected", "computed", "note"]
    rows = [[c.verdict, c.kind, c.statement, c.expected, c.computed, c.note] for c in checks]
    wide = [rf"p{{{width}\textwidth}}" for width in (0.22, 0.12, 0.24, 0.18)]
    return Table(headers, rows, ["l", "l", *wide])


def caption(checks: Sequence[ConstantCheck]) -> str:
    """How many statements hold, and which do not."""
    verdicts = Counter(check.verdict for check in checks)
    claims = [check for check in checks if check.kind == "claim"]
    fallen = "; ".join(f"{markdown(check.statement)} ({check.verdict})" for check in claims if check.verdict != "holds")
    return f"""\
**The published constants, checked.** Verdicts are computed in exact rational arithmetic on every build: of
{len(checks)} statements {verdicts["holds"]} hold, {verdicts["fails"]} fail, and {verdicts["tautology"]} is true of
everything it was meant to single out (tautology). A definition cannot fail by itself; arithmetic follows from the
definitions; a claim says something more. Of {len(claims)} claims these do not hold: {fallen or "none"}."""
