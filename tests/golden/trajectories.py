"""Short SFT and GRPO runs from a held model (tests/golden/start) whose metrics are held by the repository.

`python tests/golden/trajectories.py` writes them anew: only for a change that is meant to change numbers, and the
commit says why. GRPO replays recorded completions: one unit in the last place elsewhere would flip a sampled token.
"""

import json
import shutil
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from coherence.config.compute import Compute

CPU = Compute(device="cpu", bf16=False)
HERE = Path(__file__).resolve().parent
START = HERE / "start"
KEYS = {
    "sft": ("loss", "grad_norm", "all/accuracy", "format/entropy", "content/entropy", "all/phi"),
    "grpo": (
        "reward",
        "grad_norm",
        "coherence/phi",
        "coherence/entropy",
        "coherence/logp",
        "coherence/carl",
        "coherence/multiscale",
        "coherence/cloud_quality",
        "coherence/discontinuity",
        "kl_to_start",
        "task/distance",
    ),
}
SFT = {
    "learning_rate": 1e-3,
    "batch_size": 16,
    "bucket": 1,
    "max_steps": 12,
    "warmup_steps": 2,
    "cooldown_steps": 4,
    "weight_decay": 0.0,
    "adam_beta2": 0.98,
    "max_grad_norm": 1.0,
    "gate": {"split": "sft", "token_class": "content", "threshold": 0.99, "window": 5, "count": 3},
}
GRPO = {
    "learning_rate": 1e-3,
    "steps": 5,
    "prompts_per_step": 4,
    "num_generations": 4,
    "temperature": 1.0,
    "max_completion_length": 12,
    "beta": 0.0,
    "loss_type": "dapo",
    "scale_rewards": "none",
    "adam_beta2": 0.999,
    "max_grad_norm": 1.0,
    "carl_weights": {"multiscale": 0.5, "cloud_quality": 0.3, "discontinuity": 0.2},
    "require_crystallized": False,
    "max_unscored_share": 0.01,
    "store_every": 1,
    "start": {"prompts": 4, "min_accuracy": 0, "max_accuracy": 1, "max_zero_variance": 1},
    "arms": {"both": {"rewards": {"format": 0.2, "distance": 1.0, "carl": 0.5}}},
}


def sft(tiny: SimpleNamespace, folder: Path) -> list[dict[str, float]]:
    """Metrics of twelve SFT steps."""
    from coherence.config.sft import SftConfig
    from coherence.models.load import load_model
    from coherence.training.sft import train

    folder.mkdir()
    train(SftConfig.parse(SFT, "sft"), CPU, load_model(START, "cpu"), tiny.tokenizer, tiny.rows["sft"], folder, 0)
    return picked(folder, "sft")


def grpo(
    tiny: SimpleNamespace, folder: Path, replay: list[list[list[int]]] | None
) -> tuple[list[dict[str, float]], list[list[list[int]]]]:
    """Metrics of five GRPO steps, and the completions: sampled, or those of `replay`."""
    from coherence.config.grpo import Arm, GrpoConfig
    from coherence.models.load import load_model
    from coherence.training import grpo as stage

    folder.mkdir()
    completions: list[list[list[int]]] = []

    class Replayed(stage.CoherenceGrpoTrainer):
        source = "extra pass"  # a replay generates nothing that could be recorded

        def _generate_single_turn(self, *args: Any, **kwargs: Any) -> Any:
            ids = replay[len(completions)] if replay else super()._generate_single_turn(*args, **kwargs)[0]
            self._prompt_ids = args[0]
            completions.append(ids)
            return ids, None

    config, arm = GrpoConfig.parse(GRPO, "grpo"), Arm.parse(GRPO["arms"]["both"], "arm")
    original, stage.CoherenceGrpoTrainer = stage.CoherenceGrpoTrainer, Replayed
    try:
        models = (load_model(START, "cpu"), load_model(START, "cpu"))
        stage.train(config, CPU, arm, "grounding", *models, tiny.tokenizer, tiny.rows["grpo"], folder, 0)
    finally:
        stage.CoherenceGrpoTrainer = original
    return picked(folder, "grpo"), completions


def picked(folder: Path, stage: str) -> list[dict[str, float]]:
    """The golden keys of each step."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: line[key] for key in KEYS[stage]} for line in lines]


def main() -> None:
    """Record both trajectories from the fixtures' model."""
    sys.path.insert(0, str(HERE.parent))
    import conftest
    import pytest

    class Factory(pytest.TempPathFactory):
        def __init__(self) -> None: ...
        def mktemp(self, basename: str, numbered: bool = True) -> Path:
            return Path(tempfile.mkdtemp(prefix=basename))

    tiny = conftest.tiny.__wrapped__(Factory())
    shutil.rmtree(START, ignore_errors=True)
    shutil.copytree(
        conftest.tuned.__wrapped__(tiny), START, ignore=shutil.ignore_patterns("*.jsonl", "outcome.json", ".*")
    )
    (HERE / "sft.json").write_text(json.dumps(sft(tiny, tiny.folder / "sft"), indent=1) + "\n")
    metrics, completions = grpo(tiny, tiny.folder / "grpo", None)
    (HERE / "grpo.json").write_text(json.dumps({"metrics": metrics, "completions": completions}) + "\n")


if __name__ == "__main__":
    main()
