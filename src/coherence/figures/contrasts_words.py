"""The table of all arms beside their controls, and the caption of table and figure."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from coherence.figures.contrasts import GREEDY, HELDOUT_PHI, SAMPLED, by_seed, pick
from coherence.figures.read import Run, status_of, tallies
from coherence.figures.style import arm_name
from coherence.figures.tables import Table
from coherence.figures.words import bootstrapped, seeds, span

LEVELS = {"distinct": "distinct", "zero_variance": "all right or all wrong", "train_phi": "Φ, training"}
"""Of the last steps of training: columns of the table."""
STEPS = {"alarm_step": "alarm at step", "carl_from_step": "CARL from step"}


def table(data: pd.DataFrame, runs: Sequence[Run], against: Mapping[str, str]) -> Table:
    """One row per arm: how its runs ended, differences to its control with intervals, and levels in training."""
    ended = tallies(status_of(runs))
    headers = ["arm", "minus", "runs", "strict, greedy", "strict, sampled", "Φ, sampled", *LEVELS.values()]
    rows = [_row(data, arm, against.get(arm), ended[arm]) for arm in ended]
    return Table([*headers, *STEPS.values()], rows, ["l", "l", "l", *["r"] * (len(headers) - 3 + len(STEPS))])


def _row(data: pd.DataFrame, arm: str, control: str | None, ended: str) -> list[str]:
    apart = [_difference(data, arm, name, control) for name in (GREEDY, SAMPLED, HELDOUT_PHI)]
    levels = [pick(data, arm, name) for name in LEVELS]
    shown = ["-" if row is None else f"{row['estimate']:.3f}" for row in levels]
    steps = [span(by_seed(data, arm, name), 0) for name in STEPS]
    return [arm_name(arm), "-" if control is None else arm_name(control), ended, *apart, *shown, *steps]


def _difference(data: pd.DataFrame, arm: str, quantity: str, control: str | None) -> str:
    row = pick(data, arm, quantity, control) if control else None
    return "-" if row is None else "{estimate:+.3f} [{low:+.3f}, {high:+.3f}]".format(**row)


def caption(data: pd.DataFrame, options: Mapping[str, Any], count: int, odd: str, waited: Sequence[Run] = ()) -> str:
    """What is shown, and what each arm's sampled accuracy is beside its control's."""
    against: Mapping[str, str] = options["against"]
    vain = ", ".join(f"{arm_name(run.arm)} seed {run.seed}" for run in waited)
    left = f"Left out of means, since its gate never fired and CARL was never paid: {vain}. " if vain else ""
    told = [_told(data, arm, control) for arm, control in against.items() if pick(data, arm, SAMPLED, control)]
    return f"""\
**Arms against their controls.** Paired differences over {seeds(count)} (dots; same start, prompts and random numbers):
strict accuracy and Φ of held-out completions, and of the last steps of training the share of distinct completions and
of groups whose completions are all right or all wrong. Bars: {bootstrapped(options, count)}; of training, Student's
interval over seeds. Dark: the interval holds no zero (not corrected for the number of comparisons); a cross: no number.
Claims about gradients do not use e, but the share of groups of the whole run that were paid alike. Sampled accuracy,
arm minus control: {"; ".join(told)}. {left}{odd}"""


def _told(data: pd.DataFrame, arm: str, control: str) -> str:
    return f"{arm} minus {control} {_difference(data, arm, SAMPLED, control)}"
