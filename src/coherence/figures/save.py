"""Write a figure, a table, their data and their caption into an artifact; same content, same bytes."""

import json
import textwrap
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from coherence.figures.tables import Table, to_markdown, to_tex
from coherence.provenance.artifact import Artifact
from coherence.provenance.circumstances import command


def describe(artifact: Artifact) -> str:
    """What a figure carries in itself: identity, settings, seeds and command line, as JSON in ASCII."""
    settings = dict(artifact.settings)
    told = {
        "figure": artifact.cell["name"],
        "identity": artifact.identity,
        "settings": settings,
        "seeds": settings.get("seeds", []),
        "command": command(artifact.script, artifact.root),
    }
    return json.dumps(told, sort_keys=True)


def save_figure(figure: Figure, folder: Path, artifact: Artifact, title: str) -> None:
    """NAME.png and NAME.svg with the description inside (PNG tEXt, SVG metadata) and no date."""
    path, text = folder / artifact.out.name, describe(artifact)
    figure.savefig(f"{path}.png", metadata={"Title": title, "Description": text})
    figure.savefig(f"{path}.svg", metadata={"Title": title, "Description": text, "Date": None})


def save_table(table: Table, numbers: pd.DataFrame, folder: Path, artifact: Artifact) -> None:
    """NAME.md and NAME.tex to read, and NAME.csv, the numbers unrounded."""
    path = folder / artifact.out.name
    _write(f"{path}.md", to_markdown(table))
    _write(f"{path}.tex", to_tex(table))
    numbers.to_csv(f"{path}.csv", index=False, lineterminator="\n")


def save_data(data: pd.DataFrame, folder: Path, artifact: Artifact) -> None:
    """NAME.parquet: the tidy data behind a figure or table."""
    data.to_parquet(folder / f"{artifact.out.name}.parquet", index=False)


def save_caption(caption: str, folder: Path, artifact: Artifact) -> None:
    """NAME.caption.md: one paragraph, its lines broken anew."""
    text = textwrap.fill(" ".join(caption.split()), 110, break_long_words=False, break_on_hyphens=False)
    _write(f"{folder / artifact.out.name}.caption.md", f"{text}\n")


def _write(path: str, text: str) -> None:
    Path(path).write_text(text, encoding="utf-8", newline="\n")
