"""What a training log tells about the geometry of learning: curves by their meaning, gate, phases."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from coherence.core.gate import WindowedGate
from coherence.core.order_parameter import phi_from_entropy
from coherence.core.phases import Phase, find_phases
from coherence.observing.beside import Vocabulary, gate_of, read_object, vocabulary
from coherence.observing.logs import Log, read_logs

KEYS = {
    "accuracy": (
        *("all/accuracy", "mean_token_accuracy", "token_accuracy", "train_accuracy", "accuracy", "acc"),
        *("task/click", "task/exact", "rewards/accuracy_reward/mean", "rewards/accuracy/mean"),
    ),
    "entropy": ("coherence/entropy", "all/entropy", "entropy", "trace/entropy_mean", "train_entropy", "actor/entropy"),
    "Phi": ("coherence/phi", "all/phi", "trace/phi_mean", "phi", "phi_mean"),
    "reward": ("reward", "rewards/mean", "reward_mean", "mean_reward", "train_reward"),
    "zero-variance groups": ("zero_signal_groups", "frac_reward_zero_std"),
    "same-score groups": ("strict_zero_variance_groups",),
    "distinct outputs": ("distinct_completions",),
    "clipped completions": ("completions/clipped_ratio",),
    "loss": ("loss", "train_loss"),
}
"""Per quantity, the keys under which trainers log it, the most telling first."""
SHARES = ("accuracy", "zero-variance groups", "same-score groups", "clipped completions")
LEAST_CLIMB = 0.05
"""Of accuracy; below it the rule for phases would divide noise."""


@dataclass(frozen=True)
class Curve:
    """The finite values of a quantity, and the key that they were logged under (or their formula)."""

    key: str
    step: npt.NDArray[np.int64]
    value: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Run:
    """A log, read. Supervised runs have a gate, others none; `phases` is empty where `no_phases` says why."""

    log: Log
    status: str | None
    vocab: Vocabulary | None
    curves: dict[str, Curve]
    gate: WindowedGate | None
    phases: Sequence[Phase]
    no_phases: str

    @property
    def kind(self) -> str:
        """`rewarded` where rewards are logged, else `supervised`."""
        return "supervised" if self.gate else "rewarded"

    @property
    def log_vocab(self) -> float | None:
        """ln V, the highest entropy that there is (nats)."""
        return math.log(self.vocab.size) if self.vocab else None

    @property
    def headline(self) -> str:
        """What the run is, in one sentence."""
        steps = list(self.log.rows)
        span = f"{len(steps)} logged steps ({steps[0]} to {steps[-1]})" if steps else "no step yet"
        vocab = f"V = {self.vocab.size} by {self.vocab.source}" if self.vocab else "V unknown (--vocab-size gives Phi)"
        return f"{self.log.path}: {self.kind}, {span}, {vocab}" + (f"; {self.status}" if self.status else "")


def observe(log: Log, vocab_size: int | None = None) -> Run:
    """Find the curves, run the gate over the logged accuracy, find the phases so far."""
    gate, split, token_class = gate_of(log)
    keys = KEYS | {"accuracy": (f"{token_class}/accuracy", *KEYS["accuracy"])}
    rewarded = any(key.startswith("reward") for row in log.rows.values() for key in row)
    if rewarded:
        del keys["loss"]  # near zero by construction in on-policy GRPO: no measure of anything
    curves = {name: curve for name in keys if (curve := _curve(log, keys[name]))}
    vocab = vocabulary(log, vocab_size)
    if vocab and "Phi" not in curves and (entropy := curves.get("entropy")):
        phi = phi_from_entropy(entropy.value, vocab.size)
        curves["Phi"] = Curve(f"1 - {entropy.key} / ln V", entropy.step, phi)
    looks = curves.get("accuracy") if split == "sft" else _validation(log, f"{token_class}/accuracy")
    if looks and looks.value.max() <= 1:
        for step, value in zip(looks.step, looks.value, strict=True):
            gate.update(int(step), float(value))
    phases, why = ([], "phases are those of supervised runs") if rewarded else _phases(curves, vocab, gate)
    ordered = {name: curves[name] for name in KEYS if name in curves}
    return Run(log, _status(log), vocab, ordered, None if rewarded else gate, phases, why)


def _validation(log: Log, key: str) -> Curve | None:
    """A key of the validation.jsonl beside the log; None without one."""
    path = log.path.with_name("validation.jsonl")
    return _curve(read_logs(path)[0], (key,)) if path.is_file() else None


def _status(log: Log) -> str | None:
    """How the run ended, `finished` where nothing tells more; None while nothing tells that it did."""
    folder = log.path.parent
    finished = log.finished or (folder / "manifest.json").is_file()
    status = read_object(folder / "outcome.json").get("status", "finished" if finished else None)
    return None if status is None else str(status)


def _curve(log: Log, keys: Sequence[str]) -> Curve | None:
    """The first of the keys that has a finite value. An entry without the key is skipped, not counted as 0."""
    for key in keys:
        found = [(step, row[key]) for step, row in log.rows.items() if math.isfinite(row.get(key, math.nan))]
        if found:
            steps, values = zip(*found, strict=True)
            return Curve(key, np.array(steps), np.array(values))
    return None


def _phases(curves: dict[str, Curve], vocab: Vocabulary | None, gate: WindowedGate) -> tuple[Sequence[Phase], str]:
    """The phases so far, or why there are none."""
    missing = [name for name in ("accuracy", "entropy") if name not in curves]
    if missing:
        return [], f"no phases: the log has no {' and no '.join(missing)}"
    if vocab is None:
        return [], "no phases: they need the size of the vocabulary, --vocab-size V"
    accuracy, entropy = curves["accuracy"], curves["entropy"]
    steps, in_accuracy, in_entropy = np.intersect1d(accuracy.step, entropy.step, return_indices=True)
    values = accuracy.value[in_accuracy]
    if not len(steps) or (not gate.fired and values.max() - values[0] < LEAST_CLIMB):
        return [], f"no phases yet: accuracy has not climbed by {LEAST_CLIMB:g}"
    fired = gate.fired_step if steps[0] <= (gate.fired_step or 0) <= steps[-1] else None
    return find_phases(steps, values, entropy.value[in_entropy], math.log(vocab.size), fired), ""


def as_json(run: Run) -> dict[str, Any]:
    """The run as plain JSON values, without its findings."""
    return {
        "log": str(run.log.path),
        "run": run.log.name,
        "kind": run.kind,
        "status": run.status,
        "logged_steps": len(run.log.rows),
        "last_step": max(run.log.rows, default=None),
        "vocab_size": run.vocab._asdict() if run.vocab else None,
        "curves": {name: _curve_json(curve) for name, curve in run.curves.items()},
        "gate": run.gate.state() if run.gate else None,
        "phases": [vars(phase) for phase in run.phases],
        "no_phases": run.no_phases or None,
    }


def _curve_json(curve: Curve) -> dict[str, Any]:
    ends = {"first": curve.value[0], "last": curve.value[-1], "min": curve.value.min(), "max": curve.value.max()}
    return {"key": curve.key, "values": len(curve.value), **{name: float(value) for name, value in ends.items()}}
