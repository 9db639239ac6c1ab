"""Figure: Phi over tokens and over training."""

from pathlib import Path

from coherence.console import progress, run_cli
from coherence.figures.begin import begin, by_cell


def main(config: Path, base: Path, generations: list[Path], runs: list[Path], out: Path) -> None:
    """Draw Phi along the tokens of greedy held-out completions, and of sampled completions along GRPO.

    Args:
        config: results/X/study.json.
        base: the base model's folder (for the tokenizer).
        generations: folders of stored generations, SFT start and arms.
        runs: SFT and GRPO folders.
        out: path without suffix; .png, .svg, .pdf, .parquet and .caption.md are written.
    """
    inputs = {"base": base, **by_cell(generations, "generate/"), **by_cell(runs)}
    artifact = begin("phi_trajectories", __file__, config, out, inputs)
    if artifact.reuse():
        return
    from coherence.figures.phi_trajectories import caption, draw, greedy_tokens, read_tokenizer, trajectories
    from coherence.figures.read import read_generations, read_run
    from coherence.figures.save import save

    options = artifact.settings["figure"]
    read = [read_run(folder) for folder in runs]
    tokens = greedy_tokens(read_generations(generations), read_tokenizer(base))
    data = trajectories(tokens, read, options["tokens"])
    save(artifact, data, caption(data, tokens, read, options["smooth"]), draw(data, options["smooth"]))
    progress(f"{out}.png: {len(generations)} checkpoints, {len(read)} runs")


if __name__ == "__main__":
    run_cli(main)
