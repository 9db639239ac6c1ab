"""What looks wrong in a run: plain sentences, each with the numbers that it rests on.

A curve's start and end are its first and last tenth (3 to 20 values). Its mean has moved where the two differ by more
than Z standard errors: a curve that merely wobbles is not accused.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from coherence.observing.run import Curve, Run

Array = npt.NDArray[np.float64]

Z = 3.0
MOST = 0.5  # of all groups or completions
COLLAPSED = 0.5  # of the start
FALLEN = 0.8  # of the best
BELOW_GATE = 0.01
NO_ENTROPY = 1e-6  # nats
ROUNDING = 1e-3  # nats
STALE_S = 180.0


class Finding(NamedTuple):
    """Something that looks wrong: a short name, a sentence, and its evidence."""

    name: str
    sentence: str
    evidence: str


class Ends(NamedTuple):
    """The values at the start and at the end of a curve."""

    start: Array
    end: Array

    @property
    def moved(self) -> int:
        """1 if the mean has risen, -1 if it has fallen, 0 if it has not moved by more than its noise."""
        error = np.sqrt(sum(part.var(ddof=1) / len(part) for part in self))
        difference = self.end.mean() - self.start.mean()
        return int(np.sign(difference)) if abs(difference) > max(Z * error, 1e-9) else 0

    @property
    def collapsed(self) -> bool:
        """Fallen, and below COLLAPSED of what it was."""
        return self.moved < 0 and bool(self.end.mean() < COLLAPSED * self.start.mean())

    def __str__(self) -> str:
        return f"{self.start.mean():.3g} at first, {self.end.mean():.3g} now (means of {len(self.end)} values)"


def findings(run: Run) -> list[Finding]:
    """Everything that looks wrong, the worst first."""
    rules: Sequence[Callable[[Run], Iterator[Finding]]] = (
        *(_ended, _not_finite, _nothing_known, _entropy_bounds, _trap, _entropy_collapse),
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
    phi, distinct, accuracy = (_ends(run, name) for name in ("Phi", "distinct outputs", "accuracy"))
    if phi and distinct and phi.moved > 0 and distinct.collapsed and not (accuracy and accuracy.moved > 0):
        task = ", and the task gains nothing" if accuracy else ""
        sentence = f"Coherence trap: Phi rises while the outputs become alike{task}."
        told = {"Phi": phi, "distinct outputs": distinct} | ({"accuracy": accuracy} if accuracy else {})
        yield Finding("coherence_trap", sentence, "; ".join(f"{name} {ends}" for name, ends in told.items()))


def _entropy_collapse(run: Run) -> Iterator[Finding]:
    entropy, reward = _ends(run, "entropy"), _ends(run, "reward")
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
        if (curve := run.curves.get(name)) and (now := curve.value[-_window(curve) :]).mean() > MOST:
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
    """Reward or accuracy well below the best window of them."""
    for name in ("reward", "accuracy"):
        curve = run.curves.get(name)
        if curve is None or len(curve.value) < 2 * (size := _window(curve)):
            continue
        firsts = range(0, len(curve.value) - 2 * size + 1, size)
        best = max(firsts, key=lambda first: float(curve.value[first : first + size].mean()))
        ends = Ends(curve.value[best : best + size], curve.value[-size:])
        if ends.moved < 0 and ends.end.mean() < FALLEN * ends.start.mean():
            told = f"{curve.key} {ends.start.mean():.3g} from step {curve.step[best]}, {ends.end.mean():.3g} now"
            yield Finding(f"{name}_falls", f"{name.capitalize()} is well below its best.", told)


def _restarted(run: Run) -> Iterator[Finding]:
    if run.log.restarts:
        sentence = "The log goes back: a run was resumed, or two runs share the file. What came later counts."
        yield Finding("restarted", sentence, f"back to step {', '.join(map(str, run.log.restarts))}")


def _window(curve: Curve) -> int:
    return min(20, max(3, len(curve.value) // 10))


def _ends(run: Run, name: str) -> Ends | None:
    """None for a curve that is missing, or too short to have a start and an end."""
    curve = run.curves.get(name)
    if curve is None or len(curve.value) < 2 * (size := _window(curve)):
        return None
    return Ends(curve.value[:size], curve.value[-size:])


def _at(curve: Curve, index: int) -> str:
    return f"{curve.key} {curve.value[index]:.4g} at step {curve.step[index]}"
