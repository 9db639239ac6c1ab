"""What looks wrong in a run: plain sentences, each with the numbers that it rests on.

A curve is judged by the means of its tenths, from LEAST values on. Two of them differ where they are more than Z
standard errors apart, by an error that holds for noise that lasts (see `_tenths`): a curve that merely wobbles is not
accused.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from coherence.observing.run import Curve, Run

Z = 3.0
LEAST = 20
MOST = 0.5  # of all groups or completions
COLLAPSED = 0.5  # of the start
FALLEN = 0.2  # of the best, lost
BELOW_GATE = 0.01
SHOWN = 3  # of many steps
NO_ENTROPY = 1e-6  # nats
ROUNDING = 1e-3  # nats
STALE_S = 180.0


class Finding(NamedTuple):
    """Something that looks wrong: a short name, a sentence, and its evidence."""

    name: str
    sentence: str
    evidence: str


class Tenths(NamedTuple):
    """Mean and first step of each tenth of a curve; the standard error of the difference of two means."""

    mean: npt.NDArray[np.float64]
    first_step: Sequence[int]
    error: float

    def differ(self, before: float, after: float) -> bool:
        """Whether two means differ by more than noise."""
        return abs(after - before) > max(Z * self.error, 1e-9)

    @property
    def moved(self) -> int:
        """1 if the curve has risen from its first tenth to its last, -1 if it has fallen, else 0."""
        start, *_, end = self.mean
        return int(np.sign(end - start)) if self.differ(start, end) else 0

    @property
    def collapsed(self) -> bool:
        """Fallen, and below COLLAPSED of what it was."""
        return self.moved < 0 and bool(self.mean[-1] < COLLAPSED * self.mean[0])

    def __str__(self) -> str:
        return f"{self.mean[0]:.3g} at first, {self.mean[-1]:.3g} now (means of a tenth)"


def findings(run: Run) -> list[Finding]:
    """Everything that looks wrong, the worst first."""
    rules: Sequence[Callable[[Run], Iterator[Finding]]] = (
        *(_ended, _not_finite, _nothing_known, _percent, _entropy_bounds, _trap, _entropy_collapse),
        *(_mostly, _left_gate, _falls, _restarted),
    )
    return [finding for rule in rules for finding in rule(run)]


def stale(run: Run, age_s: float) -> Iterator[Finding]:
    """A log to which a run that has not ended should have written by now."""
    if run.status is None and age_s >= STALE_S:
        yield Finding("stale", "Nothing has been logged for a while.", f"last written {age_s // 60:.0f} minutes ago")


def _ended(run: Run) -> Iterator[Finding]:
    if run.log.broken:
        yield Finding("broken", "The log cannot be read.", run.log.broken)
    if run.status not in (None, "ok", "finished"):
        yield Finding("ended", f"The run ended as {run.status}.", "outcome.json beside the log")


def _not_finite(run: Run) -> Iterator[Finding]:
    for key in ("loss", "grad_norm", "reward", "entropy"):
        logged = {step: row[key] for step, row in run.log.rows.items() if key in row}
        bad = [step for step, value in logged.items() if not np.isfinite(value)]
        if bad:
            told = f"{len(bad)} of {len(logged)} logged values, the first at step {bad[0]}"
            yield Finding("not_finite", f"{key} is not a finite number.", told)


def _nothing_known(run: Run) -> Iterator[Finding]:
    if run.log.rows and not set(run.curves) - {"loss"}:
        keys = ", ".join(sorted({key for row in run.log.rows.values() for key in row})[:12])
        yield Finding("nothing_known", "The log has neither accuracy nor entropy nor reward.", f"it has {keys}")


def _percent(run: Run) -> Iterator[Finding]:
    accuracy = run.curves.get("accuracy")
    if accuracy and accuracy.value.max() > 1:
        sentence = "Accuracy is above 1: in percent? Gate and phases want shares, 0 to 1."
        yield Finding("accuracy_above_1", sentence, _at(accuracy, int(accuracy.value.argmax())))


def _entropy_bounds(run: Run) -> Iterator[Finding]:
    entropy = run.curves.get("entropy")
    if entropy is None:
        return
    if entropy.value[-1] <= NO_ENTROPY:
        cause = "the model is deterministic, or the mean was taken over masked tokens"
        yield Finding("entropy_zero", f"Entropy is 0: {cause}.", _at(entropy, -1))
    top = int(entropy.value.argmax())
    if run.vocab and run.log_vocab and entropy.value[top] > run.log_vocab + ROUNDING:
        sentence = f"Entropy exceeds ln V = {run.log_vocab:.3f}, its maximum: V = {run.vocab.size} is too small."
        yield Finding("entropy_above_ln_v", sentence, f"{_at(entropy, top)}; V by {run.vocab.source}")


def _trap(run: Run) -> Iterator[Finding]:
    """Phi up, distinct outputs down, and no better at the task."""
    phi, distinct, accuracy = (_tenths(run, name) for name in ("Phi", "distinct outputs", "accuracy"))
    if phi and distinct and phi.moved > 0 and distinct.collapsed and not (accuracy and accuracy.moved > 0):
        task = ", and the task gains nothing" if accuracy else ""
        sentence = f"Coherence trap: Phi rises while the outputs become alike{task}."
        told = {"Phi": phi, "distinct outputs": distinct} | ({"accuracy": accuracy} if accuracy else {})
        yield Finding("coherence_trap", sentence, "; ".join(f"{name} {tenths}" for name, tenths in told.items()))


def _entropy_collapse(run: Run) -> Iterator[Finding]:
    entropy, reward = _tenths(run, "entropy"), _tenths(run, "reward")
    if entropy and reward and entropy.collapsed and reward.moved == 0:
        sentence = "Entropy collapses while the reward does not move."
        yield Finding("entropy_collapse", sentence, f"entropy {entropy}; reward {reward}")


def _mostly(run: Run) -> Iterator[Finding]:
    """Shares that should be small, and are not."""
    sentences = {
        "zero-variance groups": "In most groups every completion has the same reward: they teach nothing.",
        "same-score groups": "In most groups every completion has the same task score: the task is silent there.",
        "clipped completions": "Most completions run into the length limit: they are cut off before they end.",
    }
    for name, sentence in sentences.items():
        curve = run.curves.get(name)
        if curve and (now := curve.value[-max(3, len(curve.value) // 10) :]).mean() > MOST:
            told = f"{now.mean():.0%} over the last {len(now)} values of {curve.key}"
            yield Finding(name.replace(" ", "_").replace("-", "_"), sentence, told)


def _left_gate(run: Run) -> Iterator[Finding]:
    accuracy, gate = run.curves.get("accuracy"), run.gate
    if accuracy is None or gate is None or gate.fired_step is None:
        return
    after = accuracy.value[accuracy.step > gate.fired_step][-gate.window :]
    if len(after) == gate.window and (now := float(np.median(after))) < gate.threshold - BELOW_GATE:
        told = f"gate at step {gate.fired_step}; median of the last {gate.window} values {now:.3f}"
        yield Finding("left_gate", f"Accuracy fell below {gate.threshold:g} after the gate fired.", told)


def _falls(run: Run) -> Iterator[Finding]:
    """Reward or accuracy that has been well below its best tenth for two tenths: a dip is no fall."""
    for name in ("reward", "accuracy"):
        if (tenths := _tenths(run, name)) is None:
            continue
        best = int(tenths.mean[:-2].argmax())
        start, now = float(tenths.mean[best]), float(tenths.mean[-2:].max())
        if start - now > FALLEN * abs(start) and tenths.differ(start, now):
            told = f"{run.curves[name].key} {start:.3g} from step {tenths.first_step[best]}, {now:.3g} or less"
            sentence = f"{name.capitalize()} is well below its best."
            yield Finding(f"{name}_falls", sentence, f"{told} from step {tenths.first_step[-2]}")


def _restarted(run: Run) -> Iterator[Finding]:
    if steps := run.log.restarts:
        sentence = "The log goes back: a run was resumed, or two runs share the file. What came later counts."
        more = f" and {len(steps) - SHOWN} times more" if len(steps) > SHOWN else ""
        yield Finding("restarted", sentence, f"back to step {', '.join(map(str, steps[:SHOWN]))}{more}")


def _tenths(run: Run, name: str) -> Tenths | None:
    """None for a curve that is missing or has fewer than LEAST values.

    The error is the larger of two: by the spread within the tenths, which holds for independent values, and by how far
    a tenth's mean lies from the middle of its neighbours, which counts noise that lasts and leaves out a trend. The
    median (1.4826 makes it a standard deviation) leaves out a jump; a - 2b + c of independent means has variance 6.
    """
    curve = run.curves.get(name)
    if curve is None or len(curve.value) < LEAST:
        return None
    parts = np.array_split(curve.value, 10)
    mean = np.array([part.mean() for part in parts])
    within = np.sqrt(np.mean([part.var(ddof=1) / len(part) for part in parts]))
    between = 1.4826 * np.median(np.abs(np.diff(mean, 2))) / np.sqrt(6)
    steps = [int(part[0]) for part in np.array_split(curve.step, 10)]
    return Tenths(mean, steps, float(np.sqrt(2) * max(within, between)))


def _at(curve: Curve, index: int) -> str:
    return f"{curve.key} {curve.value[index]:.4g} at step {curve.step[index]}"
