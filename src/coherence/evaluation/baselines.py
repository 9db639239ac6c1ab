"""What a few lines without a model score on the held-out rows: the ground that a trained model must leave."""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from coherence.tasks.rewards import STRICT, TASK_REWARDS, judge
from coherence.tasks.tools.baseline import fill_from_lexicon

Rows = Sequence[Mapping[str, Any]]


def majority(train: Rows, heldout: Rows) -> list[str]:
    """The completion that is most frequent in training, every time."""
    counts = Counter(row["completion"] for row in train)
    best = max(counts, key=lambda text: (counts[text], text))
    return [best] * len(heldout)


def nearest(train: Rows, heldout: Rows) -> list[str]:
    """The completion of the training row whose prompt is most similar: cosine of TF-IDF weighted words."""
    return [train[i]["completion"] for i in nearest_rows(train, heldout)]


def nearest_rows(train: Rows, heldout: Rows) -> list[int]:
    """For each held-out row the number of the training row with the most similar prompt; the first one of equals."""
    bags = [Counter(words(row["prompt"])) for row in train]
    known = Counter(word for bag in bags for word in bag)
    weight = {word: math.log(len(train) / n) for word, n in known.items() if n < len(train)}
    norms = [math.hypot(*(n * weight.get(word, 0.0) for word, n in bag.items())) or 1.0 for bag in bags]
    holders: defaultdict[str, list[int]] = defaultdict(list)
    for i, bag in enumerate(bags):
        for word in bag.keys() & weight.keys():
            holders[word].append(i)
    shares = {word: [bags[i][word] * weight[word] / norms[i] for i in rows] for word, rows in holders.items()}
    postings = {word: (np.array(holders[word]), np.array(shares[word]) * weight[word]) for word in holders}
    nearest = []
    for row in heldout:
        scores = np.zeros(len(train))
        for word, n in Counter(words(row["prompt"])).items():
            if word in postings:
                scores[postings[word][0]] += n * postings[word][1]
        nearest.append(int(scores.argmax()))
    return nearest


def words(text: str) -> list[str]:
    """Lower-case words, punctuation apart from them left out."""
    return "".join(c if c.isalnum() else " " for c in text.lower()).split()


def lexicon(train: Rows, heldout: Rows) -> list[str]:
    """Tool calls: the tool of the nearest request, with every known value of its arguments that the request holds."""
    tools = [train[i]["answer"]["name"] for i in nearest_rows(train, heldout)]
    return fill_from_lexicon([row["answer"] for row in train], tools, [row["prompt"] for row in heldout])


BASELINES: dict[str, dict[str, Callable[[Rows, Rows], list[str]]]] = {
    "grounding": {"majority": majority, "nearest": nearest},
    "tools": {"majority": majority, "nearest": nearest, "lexicon": lexicon},
    "maths": {"majority": majority, "nearest": nearest},
    "code": {"majority": majority, "nearest": nearest},
}
"""Per task: name -> completions of the held-out rows, from the training rows."""


def score_baselines(task: str, train: Rows, heldout: Rows) -> pd.DataFrame:
    """One row per baseline and held-out row: completion, the task's rewards, `strict`, family."""
    tables = []
    for name, guess in BASELINES[task].items():
        completions = guess(train, heldout)
        table = pd.DataFrame({"baseline": name, "id": [row["id"] for row in heldout], "completion": completions})
        table["family"] = [row["family"] for row in heldout]
        for reward, function in TASK_REWARDS[task].items():
            table[reward] = judge(function, completions, [row["answer"] for row in heldout])
        table["strict"] = table[STRICT[task]]
        tables.append(table)
    return pd.concat(tables, ignore_index=True)
