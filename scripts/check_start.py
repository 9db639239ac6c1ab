"""Check that GRPO has something to learn and something to learn from."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from coherence.cluster.slots import take_gpus
from coherence.config.grpo import start_settings
from coherence.config.resolved import image_root, read_resolved
from coherence.console import label, progress, run_cli
from coherence.provenance.artifact import Artifact


def main(config: Path, seed: int, sft: Path, data: Path, out: Path) -> None:
    """Complete GRPO prompts with an SFT checkpoint: strict accuracy, and the share of groups that would teach nothing.

    Fails, with the numbers, where the checkpoint lies outside the limits of grpo.start.

    Args:
        config: results/X/study.json.
        seed: one of the study's seeds.
        sft: folder of the SFT run with the same seed.
        data: the data set's folder.
        out: folder of the artifact.
    """
    label(f"start seed{seed}")
    study = read_resolved(config, seed)
    settings = start_settings(study, seed)
    inputs, cell = {"sft": sft, "data": data}, {"seed": seed}
    artifact = Artifact(out=out, stage="start", cell=cell, script=Path(__file__), settings=settings, inputs=inputs)
    if artifact.reuse():
        return
    take_gpus(settings["compute"])
    with artifact.write() as folder:
        start = measure(settings, sft, data, image_root(study))
        told, broken = in_words(start, settings)
        progress(told)
        if broken:
            change = "change the sft section, the data, or the limit"
            raise ValueError(f"no start for GRPO: {broken} (grpo.start); {change}")
        (folder / "start.json").write_text(json.dumps(start, indent=1) + "\n", encoding="utf-8")


def in_words(start: Mapping[str, Any], settings: Mapping[str, Any]) -> tuple[str, str]:
    """What was measured, and which limits it is outside of (empty if none)."""
    accuracy, limits = start["accuracy"], settings["grpo"]["start"]
    shares = dict(zip(map("+".join, map(sorted, settings["rewards"])), start["zero_variance"], strict=True))
    flat = {mix: f"{share:.2f} of the groups earn the same from {mix}" for mix, share in shares.items()}
    broken = []
    if accuracy < limits["min_accuracy"]:
        broken.append(f"accuracy {accuracy:.2f} is below min_accuracy {limits['min_accuracy']}")
    if accuracy > limits["max_accuracy"]:
        broken.append(f"accuracy {accuracy:.2f} is above max_accuracy {limits['max_accuracy']}")
    most = limits["max_zero_variance"]
    broken += [f"{flat[mix]}, more than max_zero_variance {most}" for mix, share in shares.items() if share > most]
    return f"greedy strict accuracy {accuracy:.2f}; {', '.join(flat.values())}", "; ".join(broken)


def measure(settings: Mapping[str, Any], checkpoint: Path, data: Path, images: Path | None) -> dict[str, Any]:
    """Strict accuracy, greedy and sampled, over some GRPO prompts, and for each mix of verifiable rewards that an arm
    pays the share of groups whose sampled completions all earn the same; `images` is the root of their paths."""
    from coherence.core.composite import CompositeWeights
    from coherence.evaluation.generate import generate
    from coherence.evaluation.score import score, zero_variance
    from coherence.models.load import load_model, quiet
    from coherence.models.vision import load_reader
    from coherence.streams import generator, integer_seed
    from coherence.tasks.read import read_rows

    quiet()
    grpo, seed = settings["grpo"], settings["seed"]
    limits = grpo["start"]
    rows = read_rows(data / "data.parquet", "grpo", images)
    tokenizer, processor = load_reader(checkpoint, bool(images))
    chosen = generator(seed, "start").permutation(len(rows))[: limits["prompts"]]
    rows = [rows[i] for i in sorted(chosen)]
    how = {"samples": grpo["num_generations"], "temperature": grpo["temperature"]}
    how |= {"max_new_tokens": grpo["max_completion_length"], "batch_size": settings["batch_size"]}
    model = load_model(checkpoint, settings["compute"]["device"], bool(images))
    stream = integer_seed(seed, "start")
    generations = generate(model, tokenizer, rows, seed=stream, processor=processor, **how)
    scores = score(settings["task"], rows, generations, CompositeWeights())
    accuracy, sampled = (float(scores[scores["mode"] == mode]["strict"].mean()) for mode in ("greedy", "sampled"))
    flat = [zero_variance(scores, weights) for weights in settings["rewards"]]
    return {"accuracy": accuracy, "sampled_accuracy": sampled, "zero_variance": flat}


if __name__ == "__main__":
    run_cli(main)
