"""Figure: the alarm replayed on every GRPO run, and gates at noise."""

from pathlib import Path

from coherence.console import progress, run_cli
from coherence.figures.begin import begin, by_cell


def main(config: Path, scores: Path, grpo: list[Path], out: Path) -> None:
    """Draw when the alarm sounds in each run, and how often gates fire where nothing rises.

    Args:
        config: results/X/study.json.
        scores: folder of the scored generations.
        grpo: all GRPO folders.
        out: path without suffix; .png, .svg, .pdf, .parquet and .caption.md are written.
    """
    artifact = begin("gates", __file__, config, out, {"scores": scores, **by_cell(grpo)})
    if artifact.reuse():
        return
    import pandas as pd

    from coherence.core.alarm import Limits
    from coherence.figures.arms import Bootstrap
    from coherence.figures.gates import false_triggers, replay
    from coherence.figures.gates_figure import draw
    from coherence.figures.gates_words import caption
    from coherence.figures.read import read_run, unusual
    from coherence.figures.save import save

    settings, options = artifact.settings, artifact.settings["figure"]
    limits, steps = Limits(**settings["alarm"]), settings["steps"]
    runs = [read_run(folder) for folder in grpo]
    table = pd.read_parquet(scores / "scores.parquet")
    bootstrap = Bootstrap(options["resamples"], options["level"])
    replays = replay(runs, table, settings["task"], limits, options["courses"], bootstrap)
    progress(f"{len(replays)} runs replayed; gates at noise")
    data = pd.concat([replays, false_triggers(options["gate"], steps, options["series"])], ignore_index=True)
    odd = unusual(runs, "Did not end ok")
    words = caption(data, limits, options["gate"], steps, options["courses"], odd)
    save(artifact, data, words, draw(data))
    progress(f"{out}.png: {len(replays)} runs")


if __name__ == "__main__":
    run_cli(main)
