"""Two studies in a row on real data, where CARL_DATA_ROOT has them: a model tuned on requests learns to click."""

import json
import os
from pathlib import Path

import pandas as pd
import pytest
import yaml
from repository import REPO
from workflow.working_copy import copy_repository

from coherence.config.study import deep_merge, read_values

ROOT = os.environ.get("CARL_DATA_ROOT")
FIRST = {
    "seeds": [0],
    "data": {"train_rows": 400, "test_rows": 20, "validation_rows": 20},
    "sft": {"max_steps": 10, "cooldown_steps": 2, "validate_every": 5},
}
SECOND = {
    "seeds": [0],
    "model": {"study": "first"},
    "data": {"copies": 1, "max_tokens": 128},
    "sft": {"max_steps": 40, "cooldown_steps": 10, "validate_every": 20},
    "grpo": {"steps": 2, "prompts_per_step": 4, "start": {"prompts": 8}, "arms": {"carl": None, "task+carl": None}},
}


@pytest.mark.skipif(not ROOT, reason="CARL_DATA_ROOT is not set")
def test_a_study_goes_on_from_another_studys_checkpoint(tmp_path: Path) -> None:
    clone = copy_repository(tmp_path / "clone")
    for name, source, short in (("first", "real_tools", FIRST), ("second", "real_grounding", SECOND)):
        values = deep_merge(read_values(REPO / f"config/{source}.yaml"), short)
        (clone.root / f"config/{name}.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")

    early = clone.snakemake("all", config="config/second.yaml", data_root=ROOT)
    checkpoint = "results/first/sft/seed0/manifest.json"
    assert early.returncode == 2 and f"{checkpoint} is missing: build it first" in early.stderr
    for target, config in ((checkpoint, "first"), ("all", "second")):
        done = clone.snakemake(target, config=f"config/{config}.yaml", data_root=ROOT)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]

    results = clone.root / "results/second"
    inputs = json.loads((results / "base/card.json").read_text())["inputs"]
    assert inputs == {"checkpoint": checkpoint}
    report = json.loads((results / "data/report.json").read_text())
    assert report["longest_tokens"] <= 128 and report["near_duplicates"].keys() == {"heldout", "validation"}
    data = pd.read_parquet(results / "data/data.parquet")
    trained = data["split"].isin(["sft", "grpo"])
    assert not set(data[trained]["unit"]) & set(data[~trained]["unit"])
    scores = pd.read_parquet(results / "scores/scores.parquet")
    assert set(scores["arm"]) == {"sft", "task"}
    assert (scores["distance_px"].isna() == (scores["format"] == 0)).all()
