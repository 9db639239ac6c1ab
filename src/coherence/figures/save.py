"""Write a figure, a table, their data and their caption into an artifact; same content, same bytes."""

import json
import re
import textwrap
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from coherence.figures.style import paper_style
from coherence.figures.tables import Table, to_markdown, to_tex
from coherence.provenance.artifact import Artifact
from coherence.provenance.circumstances import command


def save(
    artifact: Artifact,
    data: pd.DataFrame,
    caption: str,
    figure: Figure | None = None,
    table: Table | None = None,
    numbers: pd.DataFrame | None = None,
) -> None:
    """Write NAME.parquet (the tidy data) and NAME.caption.md; NAME.png, .svg and .pdf of a figure; NAME.md and .tex
    of a table, and as .csv its numbers unrounded (the data itself, unless others are given)."""
    with artifact.write() as folder:
        path = f"{folder / artifact.out.name}"
        if figure is not None:
            save_figure(figure, path, title_of(caption), describe(artifact))
        if table is not None:
            _write(f"{path}.md", to_markdown(table))
            _write(f"{path}.tex", to_tex(table))
            (data if numbers is None else numbers).to_csv(f"{path}.csv", index=False, lineterminator="\n")
        data.to_parquet(f"{path}.parquet", index=False)
        _write(f"{path}.caption.md", one_paragraph(caption))


@paper_style()
def save_figure(figure: Figure, path: str, title: str, description: str) -> None:
    """The description goes into the PNG's text, the SVG's metadata and the PDF's subject; no file has a date."""
    told = {"Title": title, "Description": description}
    figure.savefig(f"{path}.png", metadata=told)
    figure.savefig(f"{path}.svg", metadata={**told, "Date": None})
    figure.savefig(f"{path}.pdf", metadata={"Title": title, "Subject": description, "CreationDate": None})


def describe(artifact: Artifact) -> str:
    """What a figure carries in itself, as JSON in ASCII; `coherence.provenance.whence` reads it back."""
    settings = dict(artifact.settings)
    told = {
        "study": artifact.out.absolute().parent.name,
        "figure": artifact.cell["name"],
        "identity": artifact.identity,
        "settings": settings,
        "seeds": settings.get("seeds", []),
        "command": command(artifact.script, artifact.root),
    }
    return json.dumps(told, sort_keys=True)


def title_of(caption: str) -> str:
    """The bold words that every caption begins with."""
    bold = re.match(r"\*\*(.+?)\.?\*\*", caption)
    assert bold, f"a caption begins with its title in bold: {caption[:40]}"
    return bold[1]


def one_paragraph(caption: str) -> str:
    """The caption with its lines broken anew."""
    text = textwrap.fill(" ".join(caption.split()), 110, break_long_words=False, break_on_hyphens=False)
    return f"{text}\n"


def _write(path: str, text: str) -> None:
    Path(path).write_text(text, encoding="utf-8", newline="\n")
