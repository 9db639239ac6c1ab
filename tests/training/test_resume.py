"""A run that is killed and goes on ends with the same bits as one that was left alone."""

import errno
import math
import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from golden.trajectories import GRPO
from training.test_supervised import CONFIG as SFT
from transformers import Trainer

from coherence.config.compute import Compute
from coherence.config.grpo import Arm, GrpoConfig
from coherence.config.sft import SftConfig
from coherence.models.load import load_model, load_tokenizer
from coherence.provenance.scratch import Scratch, hold
from coherence.training import checkpoints, grpo, sft, supervised
from coherence.training.metrics import MetricsLog

CPU = Compute(device="cpu", bf16=False)
Train = Callable[[Path, Scratch | None], dict[str, Any]]


class Killed(BaseException):
    """As sudden as SIGKILL: nothing is saved or tidied up for it."""


@contextmanager
def killed_at(step: int, every: int) -> Iterator[None]:
    """Saves every so many steps; dies in the log of a step, when its line is written but nothing is saved of it."""
    written = MetricsLog.on_log

    def on_log(self: Any, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        written(self, args, state, control, logs, **kwargs)
        if state.global_step == step:
            raise Killed

    def on_step_end(self: Any, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        control.should_save = state.global_step % every == 0

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MetricsLog, "on_log", on_log)
        patch.setattr(checkpoints.SaveAndStop, "on_step_end", on_step_end)
        yield


def about(**changes: Any) -> dict[str, Any]:
    parts = {"settings": {}, "code": {}, "inputs": {}, "packages": {}}
    run = {"stage": "sft", "cell": {"seed": 0}, "out": "results/s/sft/seed0", "identity": "ab" * 32, "parts": parts}
    return run | changes


def attempt(train: Train, root: Path, folder: Path) -> dict[str, Any]:
    """One process's try: an empty folder to write into, and the scratch folder."""
    folder.mkdir()
    with hold(root, about()) as scratch:
        outcome = train(folder, scratch)
        outcome["attempts"] = scratch.history["attempts"]
        scratch.done = True
    return outcome


def same_after_three_kills(train: Train, steps: int, start: Path, tmp_path: Path, every: int, seed: int) -> dict:
    """Kills a run at three random steps; its files are those of one that was left alone. Returns the outcome."""
    (tmp_path / "whole").mkdir()
    train(tmp_path / "whole", None)
    kills = sorted(np.random.default_rng(seed).choice(np.arange(every + 1, steps), 3, replace=False).tolist())
    for number, step in enumerate(kills):
        with killed_at(step, every), pytest.raises(Killed):
            attempt(train, tmp_path, tmp_path / f"try{number}")
    outcome = attempt(train, tmp_path, tmp_path / "last")
    began = [step // every * every for step in [0, *(k - 1 for k in kills)]]
    assert [entry["from_step"] for entry in outcome["attempts"]] == began
    for path in (tmp_path / "whole").glob("*.*"):
        if path.is_file():
            assert path.read_bytes() == (tmp_path / "last" / path.name).read_bytes(), (path.name, kills)
    weights = (tmp_path / "last/model.safetensors").read_bytes()
    assert weights != (start / "model.safetensors").read_bytes(), "nothing was learned, so nothing was compared"
    assert not (tmp_path / "scratch").exists() or not any((tmp_path / "scratch").iterdir())
    return outcome


FIRING = {"split": "sft", "token_class": "format", "threshold": 0.05, "window": 3, "count": 2}
"""A gate that fires early, with a cooldown after it."""


@pytest.mark.parametrize(
    ("changes", "every"),
    [
        ({"max_steps": 16, "bucket": 3, "cooldown_steps": 4, "validate_every": 3, "warmup_steps": 2}, 2),
        ({"max_steps": 70, "batch_size": 16, "gate": FIRING, "cooldown_steps": 12, "learning_rate": 1e-2}, 1),
        ({"max_steps": 40, "batch_size": 128}, 3),
        ({"max_steps": 12, "warmup_steps": 2, "resonance": True, "resonance_steps": 12, "validate_every": 3}, 2),
    ],
    ids=["buckets and validation", "gate and cooldown", "many passes", "resonance"],
)
def test_sft(tiny: SimpleNamespace, tmp_path: Path, changes: dict[str, Any], every: int) -> None:
    config = SftConfig.parse(SFT | changes, "sft")

    def train(folder: Path, scratch: Scratch | None) -> dict[str, Any]:
        model = load_model(tiny.base, "cpu")
        looks = tiny.rows["heldout"][:8] if config.validate_every else []
        return sft.train(config, CPU, model, tiny.tokenizer, tiny.rows["sft"], folder, 1, looks, scratch=scratch)

    (tmp_path / "probe").mkdir()
    steps = train(tmp_path / "probe", None)["steps"]
    outcome = same_after_three_kills(train, steps, tiny.base, tmp_path, every, seed=steps)
    assert (outcome["gate_step"] is not None) == ("gate" in changes)


TWICE = {"steps_per_generation": 2, "num_iterations": 2}
"""Four optimizer steps to one generation batch."""


@pytest.mark.parametrize("reuse", [{}, TWICE], ids=["on policy", "batches used again"])
def test_grpo(
    tiny: SimpleNamespace, tuned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reuse: dict[str, int]
) -> None:
    arguments = grpo.trl_arguments
    monkeypatch.setattr(grpo, "trl_arguments", lambda *args: arguments(*args) | reuse)
    monkeypatch.setattr(grpo, "show_metrics", str)  # the one line of progress is for steps that generate
    limits = {"window": 3, "all_wrong_groups": 0.1, "distinct": 0.99, "uncertainty": 0.99}
    config = GrpoConfig.parse(GRPO | {"steps": 11, "store_every": 2, "beta": 0.1, "alarm": limits}, "grpo")
    rows = tiny.rows["grpo"][:12]  # three passes over the prompts
    gate = {"metric": "coherence/phi", "baseline": 2, "window": 2, "alpha": 0.9}
    remembers = {
        "cascade": {"gate": gate, "ramp": 3},
        "phase_adaptive": True,
        "entropy": {"target": 50.0, "delta": 0.001, "max_coefficient": 0.004},
        "run_on": True,
    }
    arm = Arm.parse(GRPO["arms"]["both"] | remembers, "arm")

    def train(folder: Path, scratch: Scratch | None) -> dict[str, Any]:
        models = (load_model(tuned, "cpu"), load_model(tuned, "cpu"))
        tokenizer = load_tokenizer(tuned)
        return grpo.train(config, CPU, arm, "grounding", *models, tokenizer, rows, folder, 0, scratch=scratch)

    outcome = same_after_three_kills(train, config.steps, tuned, tmp_path, every=1, seed=len(reuse))
    assert outcome["statistics_source"] == ("scoring" if reuse else "generation")


def train_sft(model: Path, tiny: SimpleNamespace, folder: Path, scratch: Scratch) -> dict[str, Any]:
    folder.mkdir()
    config = SftConfig.parse(SFT | {"max_steps": 4}, "sft")
    rows = tiny.rows["sft"]
    return sft.train(config, CPU, load_model(model, "cpu"), tiny.tokenizer, rows, folder, 1, (), scratch=scratch)


def test_a_full_disk_costs_the_state_and_not_the_run(
    tiny: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(tensors: Any, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(checkpoints, "save_file", full)
    monkeypatch.setattr(checkpoints, "INTERVAL_S", 0.0)
    monkeypatch.setattr(checkpoints, "SHARE", math.inf)
    with hold(tmp_path, about()) as scratch:
        assert train_sft(tiny.base, tiny, tmp_path / "run", scratch)["steps"] == 4
        assert scratch.last() is None
        assert not list(scratch.folder.glob("step-*"))
    lines = [line for line in capsys.readouterr().out.splitlines() if "warning: " in line]
    assert len(lines) == 3 and "step 1 cannot be saved" in lines[0] and "No space left" in lines[0]


def test_the_state_of_another_model_is_refused(tiny: SimpleNamespace, tuned: Path, tmp_path: Path) -> None:
    with killed_at(3, every=1), pytest.raises(Killed), hold(tmp_path, about()) as scratch:
        train_sft(tiny.base, tiny, tmp_path / "run", scratch)
    model = load_model(tiny.base, "cpu")
    model.resize_token_embeddings(len(tiny.tokenizer) + 8, mean_resizing=False)
    model.save_pretrained(tmp_path / "wider")
    with pytest.raises(ValueError, match="model of other shapes"), hold(tmp_path, about()) as scratch:
        train_sft(tmp_path / "wider", tiny, tmp_path / "again", scratch)


def test_states_hold_no_pickle_and_come_back_as_they_were(tmp_path: Path) -> None:
    noise = torch.randn(3, 2)
    state = {
        "a": [noise, noise[1:]],
        "b": {"c": math.inf, "d": None, "e": "text"},
        "random": checkpoints.random_state(),
    }
    checkpoints.write_state(tmp_path, state)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["state.json", "state.safetensors"]
    drawn = (random.random(), np.random.rand(), float(torch.rand(1)))
    back = checkpoints.read_state(tmp_path)
    assert torch.equal(back["a"][0], noise) and torch.equal(back["a"][1], noise[1:]) and back["b"] == state["b"]
    checkpoints.set_random_state(back["random"])
    assert (random.random(), np.random.rand(), float(torch.rand(1))) == drawn
    with pytest.raises(TypeError, match="JSON values and tensors, not set"):
        checkpoints.write_state(tmp_path, {"a": {1}})


def test_the_hooks_of_transformers_and_trl_are_there() -> None:
    for name in ("_save_checkpoint", "_load_from_checkpoint", "_load_optimizer_and_scheduler", "_load_rng_state"):
        assert getattr(Trainer, name) is not getattr(checkpoints.Resumable, name)
        for cls in (supervised.CoherenceSftTrainer, grpo.CoherenceGrpoTrainer):
            assert getattr(cls, name) is getattr(checkpoints.Resumable, name), "TRL's own would come first"
