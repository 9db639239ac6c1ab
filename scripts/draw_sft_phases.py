"""Figure: the phases of supervised fine-tuning."""

from pathlib import Path

from coherence.console import progress, run_cli
from coherence.figures.begin import begin, by_cell


def main(config: Path, sft: list[Path], out: Path) -> None:
    """Draw accuracy and entropy share of the SFT runs over steps, with the phases found in them.

    Args:
        config: results/X/study.json.
        sft: the SFT folders, one per seed.
        out: path without suffix; .png, .svg, .pdf, .parquet and .caption.md are written.
    """
    artifact = begin("sft_phases", __file__, config, out, by_cell(sft))
    if artifact.reuse():
        return
    from coherence.figures.read import read_run
    from coherence.figures.save import save
    from coherence.figures.sft_phases import caption, curves, draw

    smooth, gate = artifact.settings["figure"]["smooth"], artifact.settings["gate"]
    runs = [read_run(folder) for folder in sft]
    data = curves(runs, gate["token_class"])
    save(artifact, data, caption(data, runs, smooth, gate), draw(data, smooth, gate))
    progress(f"{out}.png: {len(runs)} runs")


if __name__ == "__main__":
    run_cli(main)
