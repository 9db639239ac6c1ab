"""Does a score know when the answer is right? Areas, risk against coverage, and thresholds for the gate.

Legend: S seeds, I items (held-out prompts), clustered by their K units; R resamples, H halvings of the units.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from coherence.core.coherence_gate import THRESHOLD
from coherence.core.selective import (
    Ranked,
    area_under_risk,
    area_under_roc,
    at_threshold,
    promised,
    rank,
    risk_coverage,
)
from coherence.core.statistics import SHARE, SHARES_APART, Array, Bounds, drawn_mean, draws, interval, ratio
from coherence.core.transition_family import mean_interval
from coherence.figures.read import Cell, Ended, averaged, with_status
from coherence.figures.style import arm_order
from coherence.streams import generator

REFERENCE, GATE = "logp", "phi"
SCORES = {
    "phi": "Φ",
    "cloud_quality": "cloud quality",
    "carl": "CARL",
    "logp": "mean ln P",
    "prob_mean": "mean P",
    "prob_min": "lowest P",
}
"""What is compared, and how it is called. Greedy completions: P of a token is the largest of its distribution."""
ORDERS = {"random": "random order", "perfect": "perfect order"}
HALVINGS = 200
"""Of the estimates of what calibrated thresholds keep."""
FEW = 5
"""With a right or a wrong answer about fewer units than this, resamples say nothing of what other units would do."""


class Checkpoint(NamedTuple):
    """One checkpoint's items by each score, best first; how many units have a right answer, and a wrong one."""

    ranked: Mapping[str, Ranked]
    right_units: int
    wrong_units: int


def confidences(scores: pd.DataFrame, generations: pd.DataFrame, runs: Iterable[Ended]) -> pd.DataFrame:
    """Greedy completions of the runs, without degenerate ones, with each score; items that lack one somewhere are left
    out for all. ValueError if none is left."""
    cell, greedy = ["arm", "seed", "id"], averaged(scores[scores["mode"] == "greedy"], runs)
    stored = generations.loc[generations["mode"] == "greedy", cell]
    shares = [np.exp(np.asarray(logp, dtype=float)) for logp in generations.loc[stored.index, "logp"]]
    stored["prob_mean"] = [share.mean() if share.size else np.nan for share in shares]
    stored["prob_min"] = [share.min() if share.size else np.nan for share in shares]
    table = greedy.merge(stored, on=cell, validate="one_to_one")
    finite = np.isfinite(table[[*SCORES, "strict"]].to_numpy(dtype=float)).all(axis=1)
    table = table[~table["id"].isin(set(table["id"][~finite]))]
    if table.empty:
        raise ValueError("no item is scored under every arm and seed: there is nothing to draw")
    return table.sort_values(cell, ignore_index=True)


def summarise(table: pd.DataFrame, options: Mapping[str, Any], status: Mapping[Cell, str]) -> pd.DataFrame:
    """Tidy: per arm, score and quantity one row per seed and one for all (seed missing), and the points of curves.

    Within a checkpoint, never across; a seed without a right or without a wrong answer has no AUROC, and the mean and
    its interval are over the others. `status` is how the run of each arm and seed ended.
    """
    unit_I = _units(table)
    rows = [
        {"arm": arm, **row}
        for arm in arm_order(table["arm"])
        for row in _Arm(table[table["arm"] == arm], unit_I, arm, options).rows()
    ]
    return with_status(pd.DataFrame(rows).astype({"seed": "Int64"}), status)


def _units(table: pd.DataFrame) -> Any:
    """The number of each item's unit, items by name, as in every checkpoint."""
    return pd.factorize(table.drop_duplicates("id").sort_values("id")["unit"])[0]


def _checkpoint(rows: pd.DataFrame, unit_I: Any) -> Checkpoint:
    if len(rows) != len(unit_I):
        raise ValueError("the seeds and arms are not all scored on the same items")
    hits = rows["strict"].to_numpy() == 1
    keys = {name: rows[name] for name in SCORES} | {"random": np.zeros(len(rows)), "perfect": hits}
    ranked = {name: rank(values, hits) for name, values in keys.items()}
    return Checkpoint(ranked, len(set(unit_I[hits])), len(set(unit_I[~hits])))


def _at_sigma(part: int) -> Callable[[Ranked, Array], Array]:
    return lambda ranked, weights_RI: at_threshold(ranked, weights_RI, THRESHOLD)[part]


class _Arm:
    """One arm's checkpoints, and draws of seeds and units that all its quantities share."""

    def __init__(self, table: pd.DataFrame, unit_I: Any, arm: str, options: Mapping[str, Any]) -> None:
        self.seeds = sorted(table["seed"].unique().tolist())
        self.checkpoints = [_checkpoint(table[table["seed"] == seed], unit_I) for seed in self.seeds]
        self.unit_I, self.options, self.units = unit_I, options, int(unit_I.max()) + 1
        self.rng = generator(0, "figures", "risk_coverage", arm)
        times = draws(len(self.seeds), self.units, options["resamples"], self.rng)
        self.times_RS, self.times_RK = (np.asarray(part, dtype=np.float64) for part in times)
        self.once_I, self.times_RI = np.ones((1, len(unit_I))), self.times_RK[:, unit_I]

    def rows(self) -> Iterator[dict[str, Any]]:
        yield from self._counts()
        yield from self._areas()
        yield from self._sigma()
        yield from self._promises()
        yield from self._curves()

    def _counts(self) -> Iterator[dict[str, Any]]:
        lowest = [float(checkpoint.ranked[GATE].score_I[-1]) for checkpoint in self.checkpoints]
        whole = mean_interval(lowest, self.options["level"])
        told = {"quantity": "lowest", "score": GATE, "seed": None, "seeds": len(lowest)}
        yield told | {"estimate": whole.estimate} | whole.ends
        for seed, checkpoint in zip(self.seeds, self.checkpoints, strict=True):
            right = int(checkpoint.ranked[GATE].hit_I.sum())
            counts = {"right": right, "wrong": len(self.unit_I) - right}
            counts |= {"right_units": checkpoint.right_units, "wrong_units": checkpoint.wrong_units}
            counts["lowest"] = checkpoint.ranked[GATE].score_I[-1]
            for quantity, value in counts.items():
                yield {"quantity": quantity, "score": GATE, "seed": seed, "estimate": float(value)}

    def _areas(self) -> Iterator[dict[str, Any]]:
        rarer = [min(c.right_units, c.wrong_units) for c in self.checkpoints]
        few = min([units for units in rarer if units], default=0) < FEW
        own = {score: self._measured(score, area_under_roc) for score in SCORES}
        for score, (values_S, values_RS) in own.items():
            yield from self._pooled("auroc", score, values_S, values_RS, SHARE, few)
            apart = values_S - own[REFERENCE][0], values_RS - own[REFERENCE][1]
            yield from self._pooled("auroc_difference", score, *apart, SHARES_APART, few)
        for score in (*SCORES, *ORDERS):
            yield from self._pooled("aurc", score, *self._measured(score, area_under_risk), SHARE)

    def _sigma(self) -> Iterator[dict[str, Any]]:
        """At the published threshold: the share that is not answered, and the risk of the rest."""
        for part, name in enumerate(("coverage", "risk")):
            yield from self._pooled(f"sigma_{name}", GATE, *self._measured(GATE, _at_sigma(part)), SHARE)

    def _promises(self) -> Iterator[dict[str, Any]]:
        """Thresholds chosen on one half of the units and measured on the other, both ways round, halves drawn anew."""
        some = self.options["halvings"]
        drawn = {HALVINGS: np.ones((HALVINGS, self.units)), some: np.repeat(self.times_RK, some, axis=0)}
        halves = {each: self.rng.random(times.shape).argsort(axis=1) < self.units // 2 for each, times in drawn.items()}
        for score in (GATE, REFERENCE):
            once, many = (
                [self._promise(c.ranked[score], drawn[each], halves[each], each) for c in self.checkpoints]
                for each in (HALVINGS, some)
            )
            for name in once[0]:
                values_S, values_RS = np.array([o[name][0] for o in once]), np.stack([m[name] for m in many], axis=1)
                yield from self._pooled(f"promise_{name}", score, values_S, values_RS, SHARE)

    def _promise(self, ranked: Ranked, times_RK: Array, first_RK: Any, each: int) -> dict[str, Array]:
        """Share of halves that gave a threshold, of those the share that kept the promise, and what was answered; means
        over so many halvings of each resample."""
        target, parts = self.options["target_risk"], []
        for half_RK in (first_RK, ~first_RK):
            known_RI, other_RI = ((times_RK * part)[:, self.unit_I] for part in (half_RK, ~half_RK))
            coverage, risk, threshold = promised(ranked, known_RI, other_RI, target)
            made = np.isfinite(threshold)
            parts.append(np.nan_to_num([made, made & ~(risk > target), coverage, coverage * risk]))
        made, kept, coverage, errors = np.mean(parts, axis=0).reshape(4, -1, each).mean(axis=2)
        return {"made": made, "kept": ratio(kept, made), "coverage": coverage, "risk": ratio(errors, coverage)}

    def _curves(self) -> Iterator[dict[str, Any]]:
        """Risk at each coverage, mean over seeds."""
        for score in (*SCORES, *ORDERS):
            curves = [risk_coverage(c.ranked[score], self.once_I) for c in self.checkpoints]
            risk = np.mean([risk[0] for _, risk in curves], axis=0)
            for x, y in zip(curves[0][0][0], risk, strict=True):
                yield {"quantity": "curve", "score": score, "coverage": float(x), "estimate": float(y), "seed": None}

    def _measured(self, score: str, measure: Callable[[Ranked, Array], Array]) -> tuple[Array, Array]:
        """A quantity of each seed [S], and of each seed in each resample [R, S]."""
        once, drawn = (
            [measure(c.ranked[score], weights) for c in self.checkpoints] for weights in (self.once_I, self.times_RI)
        )
        return np.concatenate(once), np.stack(drawn, axis=1)

    def _pooled(
        self, quantity: str, score: str, values_S: Array, values_RS: Array, bounds: Bounds, few: bool = False
    ) -> Iterator[dict[str, Any]]:
        known = np.isfinite(values_S)
        mean_R = drawn_mean(values_RS, self.times_RS)
        estimate = float(values_S[known].mean()) if known.any() else np.nan
        whole = interval(estimate, mean_R[: 0 if few else None], int(known.sum()), self.options["level"], bounds)
        row = {"quantity": quantity, "score": score}
        yield {**row, "seed": None, "estimate": estimate, **whole.ends, "seeds": int(known.sum())}
        for seed, value in zip(self.seeds, values_S, strict=True):
            yield {**row, "seed": seed, "estimate": float(value), "low": np.nan, "high": np.nan}
