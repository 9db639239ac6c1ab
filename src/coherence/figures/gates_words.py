"""The caption of what the alarm and the gates do."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from coherence.core.alarm import Limits
from coherence.figures.read import DEGENERATE
from coherence.figures.words import span


def _stopped(runs: pd.DataFrame) -> str:
    """The runs that it stopped, whose end nobody knows."""
    return f" {len(runs)} more it stopped, at step {span(runs['step'], 0)} (crosses);" if len(runs) else ""


def caption(
    data: pd.DataFrame, limits: Limits, gate: Mapping[str, Any], steps: int, courses: int, odd: str = ""
) -> str:
    """What is shown; false stops and missed traps are counted, and the rates at which noise fires the gates."""
    replays, noise = (data[data["part"] == part] for part in ("replay", "noise"))
    stopped = replays[replays["status"].str.startswith(DEGENERATE)]
    seen = replays.drop(stopped.index)
    worse, others = (seen[seen["lost"] == lost] for lost in (True, False))
    caught, false = worse[worse["step"].notna()], others[others["step"].notna()]
    free = noise[noise["correlation"] == 0].set_index("name")["share"]
    worst = noise[noise["correlation"] == noise["correlation"].max()].set_index("name")["share"]
    when = f" (at step {span(caught['step'], 0)})" if len(caught) else ""
    return f"""\
**Alarm and gates.** a: the alarm (windows of {limits.window} steps; wrong groups at least
{limits.all_wrong_groups:g}, distinct completions at most {limits.distinct:g} and 1 - Φ at most {limits.uncertainty:g}
of what they were) replayed on {len(replays)} runs. It sounds in {len(caught)} of the {len(worse)} runs that ended with
less held-out accuracy than their start, beyond what prompts explain{when}, and in {len(false)} of the {len(others)}
others;{_stopped(stopped)}
on {courses} resampled courses of each of the others in {span(others["share"], 3)} of them. b: share of series
of {steps} steps of noise, without any rise, that fire a gate: the published one {free["published"]:.2f} of independent
noise and {worst["published"]:.2f} at the strongest correlation; ours (first {gate["baseline"]} values against the
last {gate["window"]}, promised at most {gate["alpha"]:g} of independent noise) {free["rise"]:.3f} and
{worst["rise"]:.2f}. {odd}"""
