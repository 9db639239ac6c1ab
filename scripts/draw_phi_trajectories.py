"""Figure: Phi over tokens and over training."""

from pathlib import Path

from coherence.config.figures import settings
from coherence.config.resolved import read_resolved
from coherence.console import label, progress, run_cli
from coherence.figures.read import by_cell, read_generations, read_run
from coherence.provenance.artifact import Artifact


def main(config: Path, base: Path, generations: list[Path], grpo: list[Path], out: Path) -> None:
    """Draw Phi along the tokens of greedy held-out completions, and of sampled completions along GRPO.

    Args:
        config: results/X/study.json.
        base: the base model's folder (for the tokenizer).
        generations: folders of stored generations, SFT start and arms.
        grpo: the GRPO folders.
        out: path of the figure without suffix; .png, .svg, .parquet and .caption.md are written.
    """
    label("phi_trajectories")
    study = read_resolved(config)
    stored = {f"generate/{name}": folder for name, folder in by_cell(generations).items()}
    artifact = Artifact(
        out=out,
        stage="figures",
        cell={"name": "phi_trajectories"},
        script=Path(__file__),
        settings=settings(study, "phi_trajectories"),
        inputs={"base": base, **stored, **by_cell(grpo)},
        stem=True,
    )
    if artifact.reuse():
        return
    from coherence.figures.phi_trajectories import TITLE, caption, draw, read_tokenizer, trajectories
    from coherence.figures.save import save_caption, save_data, save_figure
    from coherence.figures.style import paper_style

    options = artifact.settings["figure"]
    runs = [read_run(folder) for folder in grpo]
    data = trajectories(read_generations(generations), runs, read_tokenizer(base), options["tokens"])
    with artifact.write() as folder, paper_style():
        save_figure(draw(data, options["smooth"]), folder, artifact, TITLE)
        save_data(data, folder, artifact)
        save_caption(caption(data, runs, options["smooth"]), folder, artifact)
    progress(f"{out}.png: {len(generations)} checkpoints, {len(runs)} runs")


if __name__ == "__main__":
    run_cli(main)
