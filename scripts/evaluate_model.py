"""Score stored generations; or judge one checkpoint with --gate."""

from pathlib import Path
from typing import Any

from coherence.config.evaluate import score_settings
from coherence.config.resolved import image_root, read_resolved
from coherence.console import label, progress, run_cli
from coherence.provenance.artifact import Artifact


def main(
    config: Path,
    data: Path,
    generations: list[Path] = [],  # noqa: B006  (tyro reads the default)
    out: Path | None = None,
    gate: Path | None = None,
) -> int:
    """Score every stored completion of the held-out split: one row per item, mode, sample, arm and seed.

    With --gate CHECKPOINT nothing is stored: the checkpoint passes if its strict greedy accuracy on the held-out
    split reaches evaluate.gate_accuracy. Exit code 0 if it passes, 1 if it does not or cannot be judged.

    Args:
        config: results/X/study.json.
        data: the data set's folder.
        generations: folders of stored generations.
        out: folder of the artifact.
        gate: folder of a checkpoint to judge.
    """
    label("evaluate")
    if gate is not None:
        return judge(config, gate, data)
    if out is None or not generations:
        raise ValueError("give --generations and --out, or --gate CHECKPOINT")
    study = read_resolved(config)
    settings, inputs = score_settings(study), {f"{path.parent.name}/{path.name}": path for path in generations}
    inputs |= {"data": data}
    artifact = Artifact(out=out, stage="scores", cell={}, script=Path(__file__), settings=settings, inputs=inputs)
    if artifact.reuse():
        return 0
    import pandas as pd

    with artifact.write() as target:
        tables = [scored(study, data, pd.read_parquet(folder / "generations.parquet")) for folder in generations]
        verdicts = [verdict(table, study["evaluate"]["gate_accuracy"]) for table in tables]
        for table, told in zip(tables, verdicts, strict=True):
            progress(f"{table['arm'][0]} seed{table['seed'][0]}: {told['text']}")
        pd.concat(tables, ignore_index=True).to_parquet(target / "scores.parquet", index=False)
        artifact.outcome["passed"] = sum(told["passed"] for told in verdicts)
    return 0


def scored(study: dict[str, Any], data: Path, generations: Any) -> Any:
    """The table of scores of some generations of the held-out split."""
    from coherence.core.composite import CompositeWeights
    from coherence.evaluation.score import score
    from coherence.tasks.read import read_rows

    rows = read_rows(data / "data.parquet", "heldout")
    return score(study["data"]["task"], rows, generations, CompositeWeights(**study["grpo"]["carl_weights"]))


def judge(config: Path, model: Path, data: Path) -> int:
    """0 if the checkpoint's strict greedy accuracy reaches the gate, else 1; what cannot be judged fails."""
    from coherence.evaluation.generate import generate_split

    try:
        study = read_resolved(config)
        section, device = study["evaluate"], study["compute"]["device"]
        how = {key: section[key] for key in ("temperature", "max_new_tokens", "batch_size")}
        how |= {"images": image_root(study), "samples": 0, "seed": 0}
        scores = scored(study, data, generate_split(model, data, "heldout", device, **how))
    except (ValueError, OSError) as error:
        progress(f"FAIL: cannot be judged: {' '.join(str(error).split())}")
        return 1
    told = verdict(scores, section["gate_accuracy"])
    progress(told["text"])
    return 0 if told["passed"] else 1


def verdict(scores: Any, needed: float) -> dict[str, Any]:
    """Whether the strict accuracy of the greedy completions reaches what is needed, and that in words."""
    hits = scores[scores["mode"] == "greedy"]["strict"]
    passed = bool(hits.mean() >= needed)
    text = f"{'PASS' if passed else 'FAIL'}: strict accuracy {hits.mean():.3f} on {len(hits)} prompts, needed {needed}"
    return {"passed": passed, "text": text}


if __name__ == "__main__":
    run_cli(main)
