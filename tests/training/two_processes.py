"""The runs that test_two_processes.py compares: in one process by import, in two by `torchrun two_processes.py FOLDER`.

FOLDER holds a base model, data.parquet and, for two processes, `one/`, made before by one process.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden.trajectories import GRPO
from tiny_settings import TINY_SFT
from trl import GRPOTrainer

from coherence.config.compute import Compute
from coherence.config.grpo import Arm, GrpoConfig
from coherence.config.lora import Lora
from coherence.config.sft import SftConfig
from coherence.models.load import load_model, load_tokenizer, quiet
from coherence.tasks.read import read_rows
from coherence.training import grpo, sft
from coherence.training.trl_seam import Rollouts

SFT = TINY_SFT | {"max_steps": 24, "bucket": 3, "validate_every": 8}
SETTINGS = GRPO | {"steps": 3, "prompts_per_step": 3}
"""Three groups of four on two processes: the second group lies on both."""
RANK = 4


def run_sft(folder: Path, out: Path, compute: Compute) -> None:
    """SFT with length buckets and validation."""
    rows = read_rows(folder / "data.parquet", "sft")
    arguments = (load_model(folder / "base", "cpu"), load_tokenizer(folder / "base"), rows)
    out.mkdir(parents=True)
    sft.train(SftConfig.parse(SFT, "sft"), compute, *arguments, out, 0, read_rows(folder / "data.parquet", "heldout"))


def run_grpo(
    folder: Path, start: Path, out: Path, compute: Compute, lora: Lora | None = None, replay: bool = False
) -> None:
    """GRPO with task rewards and CARL; `replay`: on made-up completions, the same ones for the same prompts."""
    seen: list[Rollouts] = []

    class Watched(grpo.CoherenceGrpoTrainer):
        def observe_rollouts(self, rollouts: Rollouts) -> dict[str, float]:
            seen.append(rollouts)
            return super().observe_rollouts(rollouts)

    out.mkdir(parents=True)
    models = (load_model(start, "cpu"), None if lora else load_model(start, "cpu"))
    rows, arm = read_rows(folder / "data.parquet", "grpo"), Arm.parse(GRPO["arms"]["both"], "arm")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grpo, "CoherenceGrpoTrainer", Watched)
        if replay:
            patch.setattr(Watched, "source", "extra pass")
            patch.setattr(GRPOTrainer, "_generate_single_turn", made_up)
        settings = GrpoConfig.parse(SETTINGS, "grpo")
        grpo.train(settings, compute, arm, "grounding", *models, load_tokenizer(start), rows, out, 0, lora=lora)
    told = [
        {"ids": r.completion_ids, "logps": r.token_logps, "entropies": r.token_entropies, "start": r.start_logps}
        | {"prompts": [row["prompt"] for row in r.rows], "rewards": r.rewards_BR.tolist()}
        for r in seen
    ]
    (out / "rollouts.json").write_text(json.dumps(told))


def made_up(self: Any, prompt_ids: list[list[int]], *args: Any) -> tuple[list[list[int]], None]:
    """Completions that depend on the prompt and on the place in its group alone."""
    first = self.accelerator.process_index * len(prompt_ids)
    completions = []
    for i, prompt in enumerate(prompt_ids):
        rng = np.random.default_rng([(first + i) % GRPO["num_generations"], *prompt])
        ids = rng.integers(10, len(self.processing_class), size=rng.integers(2, 9)).tolist()
        completions.append([*ids, self.processing_class.eos_token_id])
    return completions, None


def shard_on_processors(patch: pytest.MonkeyPatch) -> None:
    """Accelerate shards over GPUs only; told that these processes have some, it shards over processors as well."""
    from accelerate.state import AcceleratorState, DistributedType, PartialState

    honest = AcceleratorState.__init__

    def told(self: Any, *args: Any, **kwargs: Any) -> None:
        if kwargs.get("fsdp_plugin") is not None:
            AcceleratorState._reset_state()
            PartialState._shared_state["distributed_type"] = DistributedType.MULTI_GPU
        honest(self, *args, **kwargs)

    patch.setattr(AcceleratorState, "__init__", told)


def in_two(folder: Path, out: Path) -> None:
    """What each of two processes runs: copies of the weights on both, then parts of them."""
    two, lora = Compute(device="cpu", bf16=False, processes=2), Lora(r=RANK, alpha=2 * RANK)
    start = folder / "one/sft"
    run_sft(folder, out / "sft", Compute(device="cpu", bf16=False, processes=2, accumulate=2))
    run_grpo(folder, start, out / "copies", two, replay=True)
    with pytest.MonkeyPatch.context() as patch:
        shard_on_processors(patch)
        run_grpo(folder, start, out / "parts", two, replay=True)
        run_grpo(folder, start, out / "parts_lora", two, lora)
        half = Compute.model_construct(device="cpu", bf16=True, processes=2, accumulate=1)
        run_grpo(folder, start, out / "parts_bf16", half, replay=True)


if __name__ == "__main__":
    import os

    quiet()
    in_two(Path(sys.argv[1]), Path(sys.argv[1]) / f"two{os.environ['RANK']}")
