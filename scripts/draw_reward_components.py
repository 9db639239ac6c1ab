"""Figure: every reward and every part of CARL along GRPO."""

from pathlib import Path

from coherence.console import progress, run_cli
from coherence.figures.begin import begin, by_cell


def main(config: Path, grpo: list[Path], out: Path) -> None:
    """Draw the means of all rewards over GRPO steps, in the arms that pay for them and in those that do not.

    Args:
        config: results/X/study.json.
        grpo: the GRPO folders.
        out: path without suffix; .png, .svg, .pdf, .parquet and .caption.md are written.
    """
    artifact = begin("reward_components", __file__, config, out, by_cell(grpo))
    if artifact.reuse():
        return
    from coherence.figures.read import read_run
    from coherence.figures.reward_components import caption, components, draw
    from coherence.figures.save import save

    settings = artifact.settings
    runs = [read_run(folder) for folder in grpo]
    data = components(runs, settings["task"], settings["arms"])
    save(artifact, data, caption(data, runs, settings), draw(data, settings["figure"]["smooth"]))
    progress(f"{out}.png: {len(runs)} runs")


if __name__ == "__main__":
    run_cli(main)
