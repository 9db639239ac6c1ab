"""The whole DAG on a really pretrained model and people's requests, where CARL_DATA_ROOT has them."""

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
SHORT = {
    "data": {"train_rows": 1500, "test_rows": 60, "validation_rows": 100},
    "seeds": [0],
    "sft": {"max_steps": 100, "cooldown_steps": 20, "validate_every": 50},
    "grpo": {"steps": 2, "prompts_per_step": 4, "start": {"prompts": 8}, "arms": {"carl": None}},
}


@pytest.mark.skipif(not ROOT, reason="CARL_DATA_ROOT is not set")
def test_a_pretrained_model_goes_through_every_stage_on_real_requests(tmp_path: Path) -> None:
    clone = copy_repository(tmp_path / "clone")
    values = deep_merge(read_values(REPO / "config/real_tools.yaml"), SHORT)
    (clone.root / "config/short.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    done = clone.snakemake("all", config="config/short.yaml", data_root=ROOT)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]

    results = clone.root / "results/short"
    report = json.loads((results / "data/report.json").read_text())
    assert report["kept"]["heldout"] == 60 and report["kept"]["sft"] == 1500
    assert any("another split" in reason for reason in report["dropped"])
    lines = [json.loads(line) for line in (results / "sft/seed0/metrics.jsonl").read_text().splitlines()]
    assert lines[0]["all/entropy"] < max(line["all/entropy"] for line in lines[:20]), "a pretrained prior melts"
    assert lines[-1]["content/accuracy"] < lines[-1]["format/accuracy"], "format comes before content"
    scores = pd.read_parquet(results / "scores/scores.parquet")
    assert set(scores["arm"]) == {"sft", "task", "task+carl"}
    assert scores["phi"].between(0, 1).all()
