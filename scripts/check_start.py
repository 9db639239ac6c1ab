"""Check that GRPO has something to learn and something to learn from."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from coherence.config.grpo import start_settings
from coherence.config.resolved import read_resolved
from coherence.console import label, progress, run_cli
from coherence.provenance.artifact import Artifact


def main(config: Path, data: Path, checkpoints: list[Path], out: Path) -> None:
    """Sample groups on the GRPO distribution from every SFT checkpoint: accuracy and zero-variance share per seed.

    Fails, with the seed and the number, where a checkpoint lies outside the limits of grpo.start.

    Args:
        config: results/X/study.json.
        data: the data set's folder.
        checkpoints: the SFT folders, one per seed.
        out: folder of the artifact.
    """
    label("start")
    study = read_resolved(config)
    artifact = Artifact(
        out=out,
        stage="start",
        cell={},
        script=Path(__file__),
        settings=start_settings(study),
        inputs={"data": data, **{folder.name: folder for folder in checkpoints}},
    )
    if artifact.reuse():
        return
    starts = [
        measure(artifact.settings, seed, folder, data) for seed, folder in zip(study["seeds"], checkpoints, strict=True)
    ]
    limits = study["grpo"]["start"]
    for start in starts:
        progress(
            f"seed{start['seed']}: greedy strict accuracy {start['accuracy']:.2f} "
            f"(limits {limits['min_accuracy']} to {limits['max_accuracy']}), "
            f"sampled {start['sampled_accuracy']:.2f}, "
            f"zero-variance groups {start['zero_variance']:.2f} (at most {limits['max_zero_variance']})"
        )
    outside = [start for start in starts if not start["within"]]
    if outside:
        raise ValueError(
            f"seed {outside[0]['seed']}: accuracy {outside[0]['accuracy']:.2f}, zero-variance groups "
            f"{outside[0]['zero_variance']:.2f}: outside grpo.start; change the sft section, the data, or those limits"
        )
    with artifact.write() as folder:
        (folder / "start.json").write_text(json.dumps(starts, indent=1) + "\n", encoding="utf-8")


def measure(settings: Mapping[str, Any], seed: int, checkpoint: Path, data: Path) -> dict[str, Any]:
    """Strict accuracy (greedy and sampled) and zero-variance share over some GRPO prompts, sampled as GRPO samples."""
    from coherence.evaluation.generate import generate
    from coherence.evaluation.score import score, zero_variance
    from coherence.models.load import load_model, load_tokenizer, quiet
    from coherence.streams import generator, integer_seed
    from coherence.tasks.read import read_rows

    quiet()
    grpo = settings["grpo"]
    limits = grpo["start"]
    rows = read_rows(data / "data.parquet", "grpo")
    chosen = generator(seed, "start").permutation(len(rows))[: limits["prompts"]]
    rows = [rows[i] for i in sorted(chosen)]
    generations = generate(
        load_model(checkpoint),
        load_tokenizer(checkpoint),
        rows,
        samples=grpo["num_generations"],
        temperature=grpo["temperature"],
        max_new_tokens=grpo["max_completion_length"],
        batch_size=128,
        seed=integer_seed(seed, "start"),
    )
    scores = score(settings["task"], rows, generations)
    accuracy, sampled = (float(scores[scores["mode"] == mode]["strict"].mean()) for mode in ("greedy", "sampled"))
    flat = zero_variance(scores, settings["rewards"])
    within = limits["min_accuracy"] <= accuracy <= limits["max_accuracy"] and flat <= limits["max_zero_variance"]
    return {
        "seed": seed,
        "accuracy": accuracy,
        "sampled_accuracy": sampled,
        "zero_variance": flat,
        "within": within,
        "completions": len(scores),
    }


if __name__ == "__main__":
    run_cli(main)
