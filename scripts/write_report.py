"""Report: one HTML file of a whole study."""

import json
from pathlib import Path

from coherence.config.report import settings
from coherence.config.resolved import read_resolved
from coherence.console import label, progress, run_cli
from coherence.provenance.artifact import Artifact


def main(config: Path, figures: list[Path], runs: list[Path], data: Path, scores: Path, lock: Path, out: Path) -> None:
    """Put figures, tables, captions, outcomes and settings of a study into one file that needs nothing beside it.

    Args:
        config: results/X/study.json.
        figures: every figure and table of the study, as paths without suffix.
        runs: SFT and GRPO folders (for how each run ended).
        data: the data set's folder (for dropped rows).
        scores: folder of the scored generations (for completions without a score).
        lock: the lock file with the package versions.
        out: path without suffix; .html is written.
    """
    label("report")
    name = config.resolve().parent.name
    told, cell = settings(read_resolved(config), name), {"name": name}
    inputs = {"data": data, "scores": scores, "lock": lock, **{stem.name: stem for stem in figures}}
    inputs |= {f"{folder.parent.name}/{folder.name}": folder for folder in runs}
    own = Path(__file__)
    artifact = Artifact(out=out, stage="report", cell=cell, script=own, settings=told, inputs=inputs, stem=True)
    if artifact.reuse():
        return
    import pandas as pd

    from coherence.figures.read import read_outcome
    from coherence.provenance.packages import parse_lock
    from coherence.report.exhibits import in_order, read_exhibit
    from coherence.report.outcomes import left_out
    from coherence.report.page import Page, render

    ended = [read_outcome(folder) for folder in runs]
    rows = json.loads((data / "report.json").read_text(encoding="utf-8"))
    exhibits = [read_exhibit(stem) for stem in in_order(figures)]
    page = Page(
        name=name,
        study=artifact.settings["study"],
        runs=ended,
        left_out=left_out(ended, rows, pd.read_parquet(scores / "scores.parquet")),
        exhibits=exhibits,
        contents=artifact.parts["inputs"],
        packages=parse_lock(lock.read_text(encoding="utf-8")).versions,
        identity=artifact.identity,
    )
    with artifact.write() as folder:
        (folder / f"{out.name}.html").write_text(render(page), encoding="utf-8", newline="\n")
    progress(f"{out}.html: {len(exhibits)} figures and tables, {len(ended)} runs")


if __name__ == "__main__":
    run_cli(main)
