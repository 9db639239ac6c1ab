"""Figure and table: every arm and curve against its control."""

from pathlib import Path

from coherence.console import progress, run_cli
from coherence.figures.begin import begin, by_cell


def main(
    config: Path, base: Path, scores: Path, generations: list[Path], runs: list[Path], curves: list[Path], out: Path
) -> None:
    """Draw and tabulate the paired differences of all arms to their controls, and what each run became.

    Args:
        config: results/X/study.json.
        base: the base model's folder (for the tokenizer).
        scores: folder of the scored generations.
        generations: folders of stored generations, SFT start and arms.
        runs: SFT and GRPO folders, of all arms.
        curves: the curves' folders, if the study has any.
        out: path without suffix; .png, .svg, .pdf, .md, .csv, .tex, .parquet and .caption.md are written.
    """
    inputs = {"base": base, "scores": scores, **by_cell(generations, "generate/"), **by_cell(runs)}
    artifact = begin("contrasts", __file__, config, out, inputs | by_cell(curves, "curves/"))
    if artifact.reuse():
        return
    import pandas as pd

    from coherence.figures.arms import Bootstrap, complete_scores
    from coherence.figures.contrasts import contrasts, never_paid, per_run
    from coherence.figures.contrasts_figure import draw
    from coherence.figures.contrasts_words import caption, table
    from coherence.figures.phi_trajectories import greedy_tokens, read_tokenizer
    from coherence.figures.read import averaged, read_generations, read_run, unusual
    from coherence.figures.save import save
    from coherence.figures.style import START

    settings, options = artifact.settings, artifact.settings["figure"]
    read, shown = [read_run(folder) for folder in runs], [read_run(folder) for folder in curves]
    trained = [run for run in read if run.arm != START]
    paid = [run for run in read if not never_paid(run)]
    kept = complete_scores(pd.read_parquet(scores / "scores.parquet"), paid).table
    tokens = greedy_tokens(averaged(read_generations(generations), paid), read_tokenizer(base))
    values = per_run(trained, shown, kept, tokens, settings["task"], settings["token_class"])
    data = contrasts(values, kept, options["against"], Bootstrap(options["resamples"], options["level"]))
    waited = [run for run in read if never_paid(run)]
    words = caption(data, options, len(settings["seeds"]), unusual(read, "Did not end ok"), waited)
    save(artifact, data, words, draw(data, options["against"]), table(data, trained, options["against"]))
    progress(f"{out}.png: {len(trained)} runs, {len(shown)} curves")


if __name__ == "__main__":
    run_cli(main)
