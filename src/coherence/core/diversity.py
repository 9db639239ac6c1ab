"""How unlike the completions of a group are, each against the others. Legend: G completions of one group.

The published term, 1 - mean cosine over all pairs, is one number for the whole group: group-relative advantages
subtract it, so it can teach nothing. Its share per completion, 1 - mean cosine to the others, has the same mean over
the group and survives. It does not depend on the order within the group.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from rapidfuzz.distance import Levenshtein

Array = npt.NDArray[np.float64]
Ids = Sequence[int]
START = -1


def cosine_distances(group: Sequence[Ids]) -> Array:
    """1 - cosine of the completions' counts of neighbouring tokens (bigrams, the first token with START), [G, G]."""
    counts = [Counter(pairwise([START, *ids])) for ids in group]
    names = {pair: column for column, pair in enumerate(sorted(set().union(*counts)))}
    table = np.zeros((len(group), max(1, len(names))))
    for row, count in zip(table, counts, strict=True):
        for pair, times in count.items():
            row[names[pair]] = times
    norms = np.linalg.norm(table, axis=1)
    unit = table / np.where(norms > 0, norms, 1.0)[:, None]
    empty = norms == 0  # two empty completions are alike
    return 1.0 - np.clip(unit @ unit.T + np.outer(empty, empty), 0.0, 1.0)


def edit_distances(group: Sequence[Ids]) -> Array:
    """Levenshtein distance of the token ids over the longer one's length, [G, G]."""
    return np.array([[Levenshtein.normalized_distance(list(a), list(b)) for b in group] for a in group])


DISTANCES: dict[str, Callable[[Sequence[Ids]], Array]] = {
    "diversity_cosine": cosine_distances,
    "diversity_edit": edit_distances,
}
"""By the names of the rewards."""


def mean_distance_to_others(distances_GG: Array) -> Array:
    """Mean distance of each completion to the others of its group, [G]: 0 in a group of copies. ValueError for one."""
    size = len(distances_GG)
    if size < 2:
        raise ValueError("diversity is between the completions of a group: one alone has none")
    others = ~np.eye(size, dtype=bool)
    return np.asarray((distances_GG * others).sum(axis=1) / (size - 1))
