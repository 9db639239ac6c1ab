"""Tables for reading: Markdown and LaTeX (booktabs) from the same cells."""

from collections.abc import Sequence
from dataclasses import dataclass

from tabulate import tabulate

TEX = {"→": r"$\to$", "Φ": r"$\Phi$", "τ": r"$\tau$", "ρ": r"$\rho$", "*": r"$*$"}
"""Symbols of our tables as LaTeX's mathematics; its own characters are tabulate's to escape."""


@dataclass(frozen=True)
class Table:
    """Text cells under headers; `columns` are LaTeX column letters, of which the first tells Markdown the side."""

    headers: Sequence[str]
    rows: Sequence[Sequence[str]]
    columns: Sequence[str]

    def __post_init__(self) -> None:
        if not self.rows:
            raise ValueError("a table without a row is not written")
        widths = {len(self.headers), len(self.columns), *map(len, self.rows)}
        assert len(widths) == 1, f"ragged table: {widths}"


def to_markdown(table: Table) -> str:
    """A pipe table, columns padded so that the source reads as a table too."""
    sides = ["right" if column.startswith("r") else "left" for column in table.columns]
    headers, *rows = [[markdown(cell) for cell in row] for row in (table.headers, *table.rows)]
    return tabulate(rows, headers, "pipe", disable_numparse=True, colalign=sides) + "\n"


def markdown(text: str) -> str:
    """The text with the characters escaped that Markdown would take for marks."""
    return "".join(f"\\{character}" if character in "\\*|<`" else character for character in text)


def to_tex(table: Table) -> str:
    """A booktabs tabular, to be put into a table environment with the caption; its columns are the table's own."""
    _, *lines = tabulate(table.rows, table.headers, "latex_booktabs", disable_numparse=True).splitlines()
    text = "\n".join([rf"\begin{{tabular}}{{{''.join(table.columns)}}}", *lines, ""])
    return "".join(TEX.get(character, character) for character in text)
