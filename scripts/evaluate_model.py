"""Score stored generations; or judge one checkpoint with --gate."""

from pathlib import Path
from typing import Any

from coherence.config.evaluate import score_settings
from coherence.config.resolved import read_resolved
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
    study = read_resolved(config)
    if gate is not None:
        return judge(study, gate, data)
    if out is None or not generations:
        raise ValueError("give --generations and --out, or --gate CHECKPOINT")
    artifact = Artifact(
        out=out,
        stage="scores",
        cell={},
        script=Path(__file__),
        settings=score_settings(study),
        inputs={"data": data, **{f"{folder.parent.name}/{folder.name}": folder for folder in generations}},
    )
    if artifact.reuse():
        return 0
    import pandas as pd

    from coherence.evaluation.score import score
    from coherence.tasks.read import read_rows

    rows = read_rows(data / "data.parquet", "heldout")
    tables = []
    for folder in generations:
        table = score(study["data"]["task"], rows, pd.read_parquet(folder / "generations.parquet"))
        tables.append(table)
        greedy = table[table["mode"] == "greedy"]["strict"].mean()
        progress(f"{table['arm'][0]} seed{table['seed'][0]}: strict accuracy {greedy:.3f}")
    with artifact.write() as folder:
        pd.concat(tables, ignore_index=True).to_parquet(folder / "scores.parquet", index=False)
    return 0


def judge(study: dict[str, Any], model: Path, data: Path) -> int:
    """0 if the checkpoint's strict greedy accuracy reaches the gate, else 1; what cannot be judged fails."""
    from coherence.evaluation.generate import generate_split
    from coherence.evaluation.score import score
    from coherence.tasks.read import read_rows

    section = study["evaluate"]
    try:
        generations = generate_split(
            model,
            data,
            "heldout",
            samples=0,
            temperature=section["temperature"],
            max_new_tokens=section["max_new_tokens"],
            batch_size=section["batch_size"],
            seed=0,
        )
        scores = score(study["data"]["task"], read_rows(data / "data.parquet", "heldout"), generations)
    except (ValueError, OSError) as error:
        progress(f"FAIL: cannot be judged: {' '.join(str(error).split())}")
        return 1
    accuracy, needed = scores["strict"].mean(), section["gate_accuracy"]
    passed = bool(accuracy >= needed)
    verdict = "PASS" if passed else "FAIL"
    progress(f"{verdict}: strict accuracy {accuracy:.3f} on {len(scores)} held-out prompts, needed {needed}")
    return 0 if passed else 1


if __name__ == "__main__":
    run_cli(main)
