"""Near-duplicates between splits: held-out requests that say what a trained one says, a word or a number aside."""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from coherence.tasks.rows import TRAINED, Row

ALIKE = 0.8
"""Jaccard similarity of two sets of words, all digits taken for one, from which they are near-duplicates."""


def near_duplicates(rows: Sequence[Row]) -> dict[str, int]:
    """Per split that is not trained on: how many of its different units resemble a trained unit."""
    units = {split: {row.unit for row in rows if row.split == split} for split in {row.split for row in rows}}
    trained = {word_set(unit) for split in TRAINED for unit in units.get(split, ())}
    asked = {split: list(map(word_set, found)) for split, found in units.items() if split not in TRAINED}
    return {split: sum(resembling(sets, trained)) for split, sets in sorted(asked.items())}


def word_set(text: str) -> frozenset[str]:
    """Words of a text without punctuation, each run of digits as 0."""
    return frozenset(re.findall(r"\w+", re.sub(r"\d+", "0", text.lower())))


def resembling(asked: Sequence[frozenset[str]], known: Iterable[frozenset[str]]) -> list[bool]:
    """Whether each set is ALIKE some known one. Exact, without comparing all pairs: two sets that alike share one of
    their few rarest words (prefix filtering: Chaudhuri et al. 2006, Bayardo et al. 2007)."""
    known = list(known)
    frequency = Counter(word for words in known for word in words)

    def rarest(words: frozenset[str]) -> list[str]:
        ordered = sorted(words, key=lambda word: (frequency[word], word))
        return ordered[: len(words) - math.ceil(ALIKE * len(words)) + 1]

    holders: defaultdict[str, list[frozenset[str]]] = defaultdict(list)
    for words in known:
        for word in rarest(words):
            holders[word].append(words)
    return [any(_alike(words, other) for word in rarest(words) for other in holders[word]) for words in asked]


def _alike(a: frozenset[str], b: frozenset[str]) -> bool:
    return len(a & b) >= ALIKE * len(a | b)
