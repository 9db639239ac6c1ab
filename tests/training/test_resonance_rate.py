"""SFT under the resonance factor: each step's rate is the schedule's own, times the multiplier of the step before."""

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from training.test_supervised import CONFIG as SFT

from coherence.config.compute import Compute
from coherence.config.sft import SftConfig
from coherence.models.load import load_model
from coherence.training import sft


def run(tiny: SimpleNamespace, folder: Path, **changes: Any) -> list[dict[str, float]]:
    folder.mkdir()
    config = SftConfig.parse(SFT | {"max_steps": 8, "warmup_steps": 3} | changes, "sft")
    model = load_model(tiny.base, "cpu")
    sft.train(config, Compute(device="cpu", bf16=False), model, tiny.tokenizer, tiny.rows["sft"], folder, 0)
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_the_rate_is_the_schedules_times_the_logged_multiplier(tiny: SimpleNamespace, tmp_path: Path) -> None:
    plain = run(tiny, tmp_path / "plain")
    resonant = run(tiny, tmp_path / "resonant", resonance=True, resonance_steps=6)
    assert "resonance/multiplier" not in plain[0]
    assert resonant[0]["resonance/multiplier"] == 1.25, "R is unknown at the first step"
    for step, (before, line) in enumerate(zip(plain, resonant, strict=True)):
        factor = line["resonance/multiplier"]
        assert line["learning_rate"] == pytest.approx(before["learning_rate"] * factor, rel=1e-4), "base rate"
        envelope = 0.5 * (1 + math.cos(math.pi * min(step, 6) / 6))
        assert max(0.2, envelope) - 1e-6 <= factor <= max(0.2, 1.5 * envelope) + 1e-6
    assert resonant[-1]["resonance/multiplier"] == 0.2
    # warm-up over, the envelope's own fall: the random model's Phi are alike, so that R is near 1
    assert resonant[3]["resonance/multiplier"] == pytest.approx(0.5, abs=0.02)


def test_an_envelope_of_its_own_length_needs_the_factor() -> None:
    with pytest.raises(ValueError, match="resonance_steps is for resonance: true"):
        SftConfig.parse(SFT | {"resonance_steps": 4}, "sft")
