"""Figure and table: transitions of the SFT curves."""

from pathlib import Path

from coherence.console import progress, run_cli
from coherence.figures.begin import begin, by_cell


def main(config: Path, runs: list[Path], out: Path) -> None:
    """Infer from the curves over seeds whether there is a transition, at which step, how wide, and how sharp.

    Args:
        config: results/X/study.json.
        runs: folders of the curves.
        out: path without suffix; .png, .svg, .pdf, .md, .csv, .tex, .parquet and .caption.md are written.
    """
    artifact = begin("transitions", __file__, config, out, by_cell(runs))
    if artifact.reuse():
        return
    from coherence.figures.read import read_run
    from coherence.figures.save import save
    from coherence.figures.transitions import measure, summarise
    from coherence.figures.transitions_figure import draw, names_of
    from coherence.figures.transitions_words import caption, table

    settings = artifact.settings
    options, found = settings["figure"], [read_run(folder) for folder in runs]
    curves = measure(found, options, settings["gate"])
    data = summarise(curves, options, settings["curves"])
    save(artifact, data, caption(data, curves, found, settings), draw(data, curves, options), table(data))
    progress(f"{out}.png: {len(curves)} curves of {len(names_of(data))} kinds")


if __name__ == "__main__":
    run_cli(main)
