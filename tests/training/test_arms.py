"""What arms do otherwise: cascades, decays, diversity, entropy, temperature, and the alarm, in real short runs."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import torch
from golden.trajectories import GRPO
from repository import read_jsonl

from coherence.config.compute import Compute
from coherence.config.grpo import Arm, GrpoConfig
from coherence.core.composite import CompositeWeights
from coherence.core.phase_weights import PHASES
from coherence.models.load import load_model, load_tokenizer
from coherence.training.grpo import CoherenceGrpoTrainer, train
from coherence.training.rewards import diversity_reward
from coherence.training.schedule import RewardSchedule

CPU = Compute(device="cpu", bf16=False)
REWARDS = {"format": 0.2, "distance": 1.0, "carl": 0.5}


def run(tiny: SimpleNamespace, tuned: Path, folder: Path, arm: dict[str, Any], **changes: Any) -> dict[str, Any]:
    folder.mkdir()
    config = GrpoConfig.parse(GRPO | {"steps": 4, "arms": {"arm": arm}} | changes, "grpo")
    model, tokenizer = load_model(tuned, "cpu"), load_tokenizer(tuned)
    return train(config, CPU, config.arms["arm"], "grounding", model, None, tokenizer, tiny.rows["grpo"], folder, 0)


def weighed(folder: Path, name: str) -> list[float]:
    return [line[f"weights/{name}"] for line in read_jsonl(folder / "metrics.jsonl")]


def schedule(arm: dict[str, Any], steps: int = 100) -> RewardSchedule:
    made = RewardSchedule(Arm.parse({"rewards": REWARDS} | arm, "arm"), CompositeWeights(), steps)
    made.trainer = SimpleNamespace(reward_weights=None)
    return made


def test_a_cascade_ramps_carl_and_nothing_else(tiny: SimpleNamespace, tuned: Path, tmp_path: Path) -> None:
    outcome = run(tiny, tuned, tmp_path / "run", {"rewards": REWARDS, "cascade": {"start": 2, "ramp": 2}})
    assert outcome["carl_from_step"] == 2
    assert weighed(tmp_path / "run", "carl") == pytest.approx([0, 0.25, 0.5, 0.5])
    assert weighed(tmp_path / "run", "distance") == [1.0] * 4
    for line in read_jsonl(tmp_path / "run/metrics.jsonl"):
        paid = sum(line[f"weights/{name}"] * line[f"rewards/{name}/mean"] for name in REWARDS)
        assert line["reward"] == pytest.approx(paid, abs=1e-5), "TRL pays by the weights that are logged"


LARGE = {"diversity_edit": 100.0, "carl": 50.0}
"""Large, so that TRL's epsilon is none of what is seen; and the first varies within every group, as a task would."""


def advantages(tiny: SimpleNamespace, tuned: Path, folder: Path, seen: list[Any], **how: Any) -> torch.Tensor:
    seen.clear()
    arm = {"rewards": how.pop("rewards", LARGE), "cascade": how.pop("cascade", None)}
    run(tiny, tuned, folder, arm, steps=1, learning_rate=1e-6, **how)
    return torch.cat(seen)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    """The advantages that the loss is made from."""
    noted: list[torch.Tensor] = []
    loss = CoherenceGrpoTrainer._compute_loss

    def note(self: Any, model: Any, inputs: Any) -> Any:
        noted.append(inputs["advantages"].clone())
        return loss(self, model, inputs)

    monkeypatch.setattr(CoherenceGrpoTrainer, "_compute_loss", note)
    return noted


def test_the_published_ramp_of_all_rewards_is_normalised_away(
    tiny: SimpleNamespace, tuned: Path, tmp_path: Path, seen: list[torch.Tensor]
) -> None:
    tenth = {name: weight / 10 for name, weight in LARGE.items()}
    whole = advantages(tiny, tuned, tmp_path / "whole", seen, scale_rewards="group")
    shipped = advantages(tiny, tuned, tmp_path / "shipped", seen, scale_rewards="group", rewards=tenth)
    assert shipped.numpy() == pytest.approx(whole.numpy(), rel=1e-3, abs=1e-4)


@pytest.mark.parametrize(
    "how",
    [
        {"scale_rewards": "none"},
        {"scale_rewards": "batch"},
        {"scale_rewards": "group", "multi_objective_aggregation": "normalize_then_sum"},
    ],
)
def test_our_ramp_survives_it(
    tiny: SimpleNamespace, tuned: Path, tmp_path: Path, seen: list[torch.Tensor], how: dict[str, str]
) -> None:
    full = advantages(tiny, tuned, tmp_path / "full", seen, **how)
    begun = advantages(tiny, tuned, tmp_path / "begun", seen, cascade={"start": 1, "ramp": 10}, **how)
    never = advantages(tiny, tuned, tmp_path / "never", seen, rewards={"diversity_edit": 100.0}, **how)
    assert 0 < (begun - never).abs().max() < 0.25 * (full - never).abs().max()


def test_a_gate_opens_the_cascade_at_the_step_after_it_fired() -> None:
    gate = {"metric": "task/click", "baseline": 5, "window": 3, "alpha": 0.05}
    made = schedule({"cascade": {"gate": gate, "ramp": 1}})
    clicks = [0.10, 0.12, 0.11, 0.09, 0.10, 0.50, 0.52, 0.51, 0.50]
    for step, click in enumerate(clicks, start=1):
        assert made.weights(step)["carl"] == 0
        made.observe(step, {"task/click": click})
        if made.start:
            break
    assert made.start == step + 1 == 9 and made.weights(9)["carl"] == REWARDS["carl"]
    again = schedule({"cascade": {"gate": gate, "ramp": 1}})
    again.load_state_dict(json.loads(json.dumps(made.state_dict())))
    assert again.state_dict() == made.state_dict() and again.start == 9


def test_phase_adaptive_weights_follow_the_batch_before() -> None:
    made = schedule({"phase_adaptive": True})
    assert made.carl_weights == CompositeWeights()
    for synchrony, phase in ((0.1, "gaseous"), (0.5, "liquid"), (0.95, "crystalline")):
        made.observe(1, {"coherence/synchrony": synchrony})
        assert made.carl_weights == PHASES[phase]


def test_phase_adaptive_runs_are_paid_by_the_weights_of_their_phase(
    tiny: SimpleNamespace, tuned: Path, tmp_path: Path
) -> None:
    run(tiny, tuned, tmp_path / "run", {"rewards": {"carl": 1.0}, "phase_adaptive": True})
    first, second, *_ = read_jsonl(tmp_path / "run/metrics.jsonl")
    assert first["coherence/synchrony"] > 0.7, "the second batch is paid by the crystalline weights"
    parts = ("multiscale", "cloud_quality", "discontinuity")
    for line, weights in ((first, CompositeWeights()), (second, PHASES["crystalline"])):
        paid = sum(getattr(weights, name) * line[f"coherence/{name}"] for name in parts)
        assert line["rewards/carl/mean"] == pytest.approx(paid, abs=1e-5)


def test_diversity_is_paid_and_decays(tiny: SimpleNamespace, tuned: Path, tmp_path: Path) -> None:
    rewards = {"format": 0.2, "diversity_cosine": 1.0, "diversity_edit": 0.5}
    run(tiny, tuned, tmp_path / "run", {"rewards": rewards, "decay": {"diversity_cosine": 2}})
    assert weighed(tmp_path / "run", "diversity_cosine") == pytest.approx([1.0, 0.5, 0.0, 0.0])
    for line in read_jsonl(tmp_path / "run/metrics.jsonl"):
        assert 0 < line["rewards/diversity_cosine/mean"] <= 1 and 0 < line["rewards/diversity_edit/mean"] <= 1


def test_diversity_needs_whole_groups() -> None:
    score = diversity_reward("diversity_edit", num_generations=2)
    assert score(completion_ids=[[1], [2], [3], [3]]) == [1, 1, 0, 0]
    with pytest.raises(ValueError, match="whole groups"):
        score(completion_ids=[[1], [2], [3]])


def test_adaptive_entropy_and_temperature_reach_trl(tiny: SimpleNamespace, tuned: Path, tmp_path: Path) -> None:
    entropy = {"target": 50.0, "delta": 0.25, "max_coefficient": 0.6}
    run(tiny, tuned, tmp_path / "entropy", {"rewards": REWARDS, "entropy": entropy})
    assert [line["entropy_coef"] for line in read_jsonl(tmp_path / "entropy/metrics.jsonl")] == [0.25, 0.5, 0.6, 0.6]
    logp = {}
    for name, how in {"plain": {}, "hot": {"temperature": 3.0}, "cut": {"temperature": 3.0, "top_k": 1}}.items():
        run(tiny, tuned, tmp_path / name, {"rewards": REWARDS} | how, learning_rate=1e-9)
        logp[name] = sum(line["coherence/logp"] for line in read_jsonl(tmp_path / name / "metrics.jsonl"))
    assert logp["hot"] < logp["plain"] < logp["cut"], "of what is sampled, at temperature 1"


ALARM = {"window": 2, "all_wrong_groups": 0.01, "distinct": 0.999999, "uncertainty": 0.999999}


@pytest.mark.parametrize("run_on", [False, True])
def test_the_alarm_stops_a_run_shows_why_and_can_be_told_not_to(
    tiny: SimpleNamespace, tuned: Path, tmp_path: Path, run_on: bool
) -> None:
    arm = {"rewards": {"carl": 1.0}, "run_on": run_on}
    outcome = run(tiny, tuned, tmp_path / "run", arm, steps=40, learning_rate=5e-3, alarm=ALARM)
    told = json.loads((tmp_path / "run/ALARM.json").read_text())
    assert outcome["alarm_step"] == told["step"] < 40
    assert outcome["status"] == ("ok" if run_on else "degenerate")
    assert outcome["steps"] == (40 if run_on else told["step"]) == len(read_jsonl(tmp_path / "run/metrics.jsonl"))
    assert told["signs"]["phi"]["last"] >= told["signs"]["phi"]["limit"] > told["signs"]["phi"]["first"]
    assert told["samples"] and set(told["samples"][0]) == {"prompt", "completion"}
    assert len(pd.read_parquet(tmp_path / "run/samples.parquet"))


def test_an_arm_that_learns_its_task_sounds_no_alarm(tiny: SimpleNamespace, tuned: Path, tmp_path: Path) -> None:
    strict = ALARM | {"all_wrong_groups": 0.95, "distinct": 0.5, "uncertainty": 0.5}
    outcome = run(tiny, tuned, tmp_path / "run", {"rewards": {"distance": 1.0}}, steps=8, alarm=strict)
    assert outcome["status"] == "ok" and outcome["alarm_step"] is None
    assert not (tmp_path / "run/ALARM.json").exists()


@pytest.mark.parametrize(
    ("arm", "message"),
    [
        ({"rewards": {"format": 1.0}, "cascade": {"start": 2, "ramp": 1}}, "which this arm does not pay"),
        ({"rewards": {"format": 1.0}, "phase_adaptive": True}, "which this arm does not pay"),
        ({"rewards": REWARDS, "cascade": {"ramp": 1}}, "either `start`"),
        ({"rewards": REWARDS, "decay": {"click": 3}}, "'click' must be a reward of this arm"),
        ({"rewards": REWARDS, "decay": {"carl": 3}, "cascade": {"start": 2, "ramp": 1}}, "cannot both rise"),
        ({"rewards": REWARDS, "cascade": {"start": 200, "ramp": 1}}, "starts after the last step"),
        ({"rewards": REWARDS, "temperature": 0.0}, "temperature: Input should be greater than 0"),
    ],
)
def test_options_that_conflict_are_named_before_anything_trains(arm: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GrpoConfig.parse(GRPO | {"arms": {"arm": arm}}, "grpo")


def test_a_changing_weight_that_normalisation_would_divide_away_is_refused() -> None:
    arms = {"arm": {"rewards": REWARDS, "cascade": {"start": 2, "ramp": 1}}}
    with pytest.raises(ValueError, match="divides a changing weight away"):
        GrpoConfig.parse(GRPO | {"scale_rewards": "group", "arms": arms}, "grpo")
