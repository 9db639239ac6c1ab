"""What the reference file's scoring says of the same completions, and of cases whose score is known beforehand.

Legend: S seeds, I items (held-out prompts), clustered by their unit; T tokens, V vocabulary.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from coherence.core.compat import text_reward
from coherence.core.composite import carl_composite
from coherence.core.selective import area_under_roc, rank
from coherence.core.statistics import SHARE, Array, drawn_mean, draws, interval
from coherence.figures.arms import Bootstrap
from coherence.figures.read import Cell, with_status
from coherence.figures.style import arm_order
from coherence.streams import generator

ALIGNED, COMPAT = "aligned", "compat"
SHOWN = (ALIGNED, COMPAT)
STEPS = (ALIGNED, "both", "prompted", "shifted", COMPAT)
"""Conventions from the aligned scoring to the reference file's, one difference at a time."""
CHARACTERS = 128
CERTAIN = 60.0
"""By which the one expected token's logit stands above all others."""
PUBLISHED_COLLAPSED = 0.55
"""Quoted: the third paper's CARL of its collapsed model ("about 0.55")."""


class Case(NamedTuple):
    """A text under a model whose every prediction is known; the published score, where there is one."""

    name: str
    text: str
    certain: bool = True
    published: float = np.nan


CASES = (
    Case("perfect predictor, varied", "abcdefgh"),
    Case("perfect predictor, repeated", "a" * 8),
    Case("the same, 600 times", "x" * 600),
    Case("collapsed on one answer", "(492, 544)", published=PUBLISHED_COLLAPSED),
    Case("right answer of 4 letters", "abcd"),
    Case("uniform model", "abcdefgh", certain=False),
)


# ------------------------------------------------------------------------------- known cases


def known_cases(cases: Sequence[Case] = CASES) -> pd.DataFrame:
    """CARL of each case, aligned and as the reference file scores it; characters are tokens, no model is needed.

    A certain model gives all probability to the next character; the prompt tells it the first one.
    """
    rows = [{"case": case.name, "text": case.text, "published": case.published, **_scores(case)} for case in cases]
    return pd.DataFrame(rows)


def _scores(case: Case) -> dict[str, float]:
    tokens = [ord(character) for character in case.text]
    compat, _ = text_reward(case.text, lambda _: tokens, lambda ids: _logits([*ids[1:], 0], case.certain))
    logp, phi = (0.0, 1.0) if case.certain else (-np.log(CHARACTERS), 0.0)
    aligned = carl_composite(np.full((1, len(tokens)), logp), np.full((1, len(tokens)), phi), [len(tokens)])
    return {ALIGNED: float(aligned.reward[0]), COMPAT: compat}


def _logits(expected: Sequence[int], certain: bool) -> Array:
    """Logits [T, V] that expect these tokens, or nothing."""
    logits_TV = np.zeros((len(expected), CHARACTERS))
    logits_TV[np.arange(len(expected)), list(expected)] = CERTAIN if certain else 0.0
    return logits_TV


# ------------------------------------------------------------------------------- right from wrong


def scored(table: pd.DataFrame) -> pd.DataFrame:
    """The completions that have a score under every convention; ValueError if there is none."""
    finite = np.isfinite(table[[f"carl_{name}" for name in STEPS]].to_numpy(dtype=float)).all(axis=1)
    if not finite.any():
        raise ValueError("no completion is scored under every convention: there is nothing to draw")
    kept: pd.DataFrame = table.loc[finite]
    return kept.reset_index(drop=True)


def separation(table: pd.DataFrame, bootstrap: Bootstrap) -> pd.DataFrame:
    """AUROC of CARL for strict accuracy: one row per arm, convention and seed, and one for their mean (seed missing).

    Within a checkpoint, never across. NaN for a checkpoint whose answers are all right or all wrong; the mean is over
    the others, and so are the intervals (core/statistics), whose draws are the same for all conventions.
    """
    rows = [
        {"arm": arm, **row}
        for arm in arm_order(table["arm"])
        for row in _separation(table[table["arm"] == arm], generator(0, "figures", "alignment", arm), bootstrap)
    ]
    return pd.DataFrame(rows).astype({"seed": "Int64"})


def _separation(table: pd.DataFrame, rng: np.random.Generator, bootstrap: Bootstrap) -> Iterator[dict[str, Any]]:
    unit, parts = pd.Series(pd.factorize(table["unit"])[0], index=table.index), dict(iter(table.groupby("seed")))
    pool = [seed for seed, part in parts.items() if part["strict"].eq(1).nunique() == 2]
    times_RS, times_RK = draws(max(1, len(pool)), int(unit.max()) + 1, bootstrap.resamples, rng)
    for name in SHOWN:
        ranked = {seed: rank(part[f"carl_{name}"], part["strict"] == 1) for seed, part in parts.items()}
        areas = {seed: float(area_under_roc(one, np.ones((1, len(one.hit_I))))[0]) for seed, one in ranked.items()}
        drawn = [area_under_roc(ranked[seed], times_RK[:, unit[parts[seed].index]]) for seed in pool]
        mean_R = drawn_mean(np.stack(drawn, axis=1), times_RS) if pool else np.empty(0)
        mean = float(np.mean([areas[seed] for seed in pool])) if pool else np.nan
        whole = interval(mean, mean_R, len(pool), bootstrap.level, SHARE)
        yield {"convention": name, "seed": None, "estimate": whole.estimate, "low": whole.low, "high": whole.high}
        for seed, area in areas.items():
            yield {"convention": name, "seed": seed, "estimate": area, "low": np.nan, "high": np.nan}


def two_faced(table: pd.DataFrame) -> int:
    """Texts that a checkpoint gave as a right answer to one prompt and as a wrong one to another."""
    return int((table.groupby(["arm", "seed", "text"])["strict"].nunique() > 1).sum())


# ------------------------------------------------------------------------------- all of it


def alignment(table: pd.DataFrame, bootstrap: Bootstrap, status: Mapping[Cell, str]) -> pd.DataFrame:
    """The three panels in one tidy table: `completion` with both scores, `separation` with AUROCs, `case`.

    `status` is how the run of each arm and seed ended.
    """
    kept = scored(table)
    points = kept[["arm", "seed", "id", "strict"]].assign(
        aligned=kept["carl_aligned"], compat=kept["carl_compat"], panel="completion"
    )
    areas = with_status(separation(kept, bootstrap), status)
    parts = [points, areas.assign(panel="separation"), known_cases().assign(panel="case")]
    data = pd.concat(parts, ignore_index=True)
    return data[["panel", *(name for name in data if name != "panel")]].astype({"seed": "Int64"})


def means(table: pd.DataFrame) -> pd.DataFrame:
    """Strict accuracy, and mean CARL and its parts under each convention, per arm, over seeds and items."""
    values = [name for name in table.columns if name == "strict" or name.rpartition("_")[2] in STEPS]
    grouped = scored(table).groupby("arm")[values].mean()
    return grouped.loc[arm_order(grouped.index)].reset_index()
