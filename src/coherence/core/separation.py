"""How well a score tells hits from misses."""

import numpy as np
import numpy.typing as npt


def auroc(scores_I: npt.ArrayLike, hits_I: npt.ArrayLike) -> float:
    """Area under the ROC curve: P(a hit scores above a miss) + P(they tie)/2; NaN without a hit or without a miss.

    Scores [I], hits [I] (true or false). ValueError for shapes that differ or a score that is not a number.
    """
    scores, hits = np.asarray(scores_I, dtype=np.float64), np.asarray(hits_I, dtype=bool)
    if scores.shape != hits.shape or scores.ndim != 1:
        raise ValueError(f"expected scores [I] and hits [I], got {scores.shape} and {hits.shape}")
    if np.isnan(scores).any():
        raise ValueError("a score is NaN: leave out what has none")
    right, wrong = scores[hits], np.sort(scores[~hits])
    if not (right.size and wrong.size):
        return float("nan")
    beaten = np.searchsorted(wrong, right, "left") + np.searchsorted(wrong, right, "right")
    return float(beaten.mean() / (2 * wrong.size))
