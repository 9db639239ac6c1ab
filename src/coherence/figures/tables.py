"""Tables for reading: Markdown and LaTeX (booktabs) from the same cells."""

from collections.abc import Sequence
from dataclasses import dataclass

TEX = {
    "\\": r"\textbackslash{}",
    **{character: rf"\{character}" for character in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "*": r"$*$",
    "<": r"$<$",
    ">": r"$>$",
    "→": r"$\to$",
    "Φ": r"$\Phi$",
}


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
    cells = [[markdown(cell) for cell in row] for row in (table.headers, *table.rows)]
    widths = [max(3, *map(len, column)) for column in zip(*cells, strict=True)]
    right = [column.startswith("r") for column in table.columns]
    rule = ["-" * (width - 1) + ":" if side else "-" * width for width, side in zip(widths, right, strict=True)]
    lines = [_padded(cells[0], widths, right), rule, *(_padded(row, widths, right) for row in cells[1:])]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _padded(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> list[str]:
    columns = zip(cells, widths, right, strict=True)
    return [cell.rjust(width) if side else cell.ljust(width) for cell, width, side in columns]


def markdown(text: str) -> str:
    """The text with the characters escaped that Markdown would take for marks."""
    return "".join(f"\\{character}" if character in "\\*|<`" else character for character in text)


def to_tex(table: Table) -> str:
    """A booktabs tabular, to be put into a table environment with the caption."""
    rows = [" & ".join(map(tex, row)) + r" \\" for row in table.rows]
    head = " & ".join(map(tex, table.headers)) + r" \\"
    begin = rf"\begin{{tabular}}{{{''.join(table.columns)}}}"
    return "\n".join([begin, r"\toprule", head, r"\midrule", *rows, r"\bottomrule", r"\end{tabular}", ""])


def tex(text: str) -> str:
    """A cell with LaTeX's own characters escaped; the few symbols of our tables become mathematics."""
    return "".join(TEX.get(character, character) for character in text)
