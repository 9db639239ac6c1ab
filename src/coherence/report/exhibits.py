"""The figures and tables of a study as the report shows them, each from the files of its own artifact."""

import base64
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt
from markupsafe import Markup

from coherence.config.figures import NAMES

PIXELS = 4 / 3
"""CSS pixels per point."""
MARKS = MarkdownIt("zero").enable(["emphasis", "escape", "table"])
"""All the Markdown that captions and tables use; whatever else stands there, HTML included, is text."""


@dataclass(frozen=True)
class Exhibit:
    """One figure or table: HTML of caption and table, and the figure as a data URI with its width (CSS pixels)."""

    stem: Path
    title: str
    caption: Markup
    image: str
    width: int
    table: Markup

    @property
    def name(self) -> str:
        return self.stem.name

    @property
    def file(self) -> str:
        """What whence.py can be asked about: the figure, or the table."""
        return f"{self.stem.as_posix()}.{'svg' if self.image else 'md'}"


def in_order(stems: Sequence[Path]) -> list[Path]:
    """The stems in the order of the story, others after them by name."""
    return sorted(stems, key=lambda stem: (NAMES.index(stem.name) if stem.name in NAMES else len(NAMES), stem.name))


def read_exhibit(stem: Path) -> Exhibit:
    """NAME.caption.md, and NAME.svg or NAME.md or both; ValueError where neither is there."""
    title, caption = split_title(Path(f"{stem}.caption.md").read_text(encoding="utf-8"), stem.name)
    svg, table = Path(f"{stem}.svg"), Path(f"{stem}.md")
    if not svg.is_file() and not table.is_file():
        raise ValueError(f"{stem} has neither a figure (.svg) nor a table (.md): build it, `snakemake {svg}`")
    return Exhibit(
        stem=stem,
        title=title,
        caption=Markup(MARKS.renderInline(caption)),
        image=data_uri(svg) if svg.is_file() else "",
        width=width(svg) if svg.is_file() else 0,
        table=Markup(MARKS.render(table.read_text(encoding="utf-8")) if table.is_file() else ""),
    )


def split_title(caption: str, name: str) -> tuple[str, str]:
    """The words in bold that a caption begins with, without their full stop, and the rest; else `name` and all."""
    text = " ".join(caption.split())
    found = re.match(r"\*\*(.+?)\.?\*\*\s*", text)
    return (found[1], text[found.end() :]) if found else (name, text)


def data_uri(svg: Path) -> str:
    """The file's own bytes: its ids cannot clash with another figure's, and saved from the page it is the same file."""
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.read_bytes()).decode()}"


def width(svg: Path) -> int:
    """Natural width of a figure in CSS pixels; ValueError where the file does not tell it in points."""
    told = re.fullmatch(r"([\d.]+)pt", ElementTree.parse(svg).getroot().get("width", ""))
    if told is None:
        raise ValueError(f"{svg} does not tell its width in points")
    return round(float(told[1]) * PIXELS)
