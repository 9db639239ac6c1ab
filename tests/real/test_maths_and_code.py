"""Maths and code on real rows: prepared, planned, and one GRPO step with their own rewards, where the data is."""

import os
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from repository import REPO, read_jsonl
from workflow.working_copy import copy_repository, planned_jobs

from coherence.config.compute import Compute
from coherence.config.grpo import Arm, GrpoConfig
from coherence.config.resolved import data_files
from coherence.config.study import Study, read_values
from coherence.models.load import load_model, load_tokenizer, quiet
from coherence.tasks.read import read_rows
from coherence.tasks.rewards import STRICT, TASK_REWARDS
from coherence.training.grpo import train
from scripts.prepare_data import prepare

ROOT = os.environ.get("CARL_DATA_ROOT")
CHANGES: dict[str, dict[str, Any]] = {
    "gsm8k": {"data": {"train_rows": 400, "test_rows": 60, "max_tokens": 400}, "dropped": "over 400 tokens"},
    "mbpp": {
        "data": {
            "train": {"file": "data/mbpp/mbpp.jsonl", "lines": [580, 640]},
            "test": {"file": "data/mbpp/mbpp.jsonl", "lines": [11, 40]},
            "validation_rows": 5,
            "max_tokens": 300,
        },
        "dropped": "a test is not `assert call == literal`",
    },
}
pytestmark = pytest.mark.skipif(not ROOT, reason="CARL_DATA_ROOT is not set")


@pytest.mark.parametrize("name", CHANGES)
def test_real_rows_come_to_the_trainers_door_and_one_step_is_rewarded(name: str, tmp_path: Path) -> None:
    quiet()
    values = read_values(REPO / f"config/gpu/{name}.yaml")
    values["data"] |= CHANGES[name]["data"]
    study = Study(name, values).resolved
    base = Path(str(ROOT)) / "models/stories260K"
    report = prepare(study["data"], base, data_files(study, tmp_path), tmp_path)
    assert min(report["kept"][split] for split in ("sft", "grpo", "validation", "heldout")) > 0
    assert any(CHANGES[name]["dropped"] in reason and n for reason, n in report["dropped"].items()), report

    task = study["data"]["task"]
    rows = read_rows(tmp_path / "data.parquet", "grpo")
    assert all(
        reward(row["completion"], row["answer"]) == 1.0 for row in rows[:5] for reward in TASK_REWARDS[task].values()
    )
    settings = study["grpo"] | {"steps": 1, "prompts_per_step": 2, "num_generations": 4, "max_completion_length": 24}
    arm = Arm.parse(study["grpo"]["arms"]["task+carl"], "arm")
    outcome = train(
        GrpoConfig.parse(settings, "grpo"), Compute(device="cpu", bf16=False), arm, task,
        load_model(base, "cpu"), load_model(base, "cpu"), load_tokenizer(base), rows, tmp_path, 0,
    )  # fmt: skip
    assert outcome["status"] == "ok" and outcome["completions"] == 8 and outcome["unscored_completions"] == 0
    line = read_jsonl(tmp_path / "metrics.jsonl")[0]
    samples = pd.read_parquet(tmp_path / "samples.parquet")
    assert line[f"task/{STRICT[task]}"] == 0.0, "a story model solves nothing"
    assert len(samples) == 4 and set(TASK_REWARDS[task]) <= set(samples.columns)


@pytest.mark.parametrize("name", CHANGES)
def test_the_study_can_be_planned(name: str, tmp_path: Path) -> None:
    (tmp_path / "root/models").mkdir(parents=True)
    (tmp_path / "root/data").symlink_to(Path(str(ROOT)).resolve() / "data")
    (tmp_path / "root/models/SmolLM2-360M-Instruct").symlink_to(Path(str(ROOT)).resolve() / "models/stories260K")
    clone = copy_repository(tmp_path / "clone")
    done = clone.snakemake("-n", "all", config=f"config/gpu/{name}.yaml", data_root=str(tmp_path / "root"))
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    planned = planned_jobs(done.stdout + done.stderr)
    assert (planned["data"], planned["sft"], planned["grpo"]) == (1, 3, 9)
