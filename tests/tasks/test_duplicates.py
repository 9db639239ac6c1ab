"""Near-duplicates: found exactly, numbers aside, and counted per split."""

import numpy as np

from coherence.tasks.duplicates import ALIKE, near_duplicates, resembling, word_set
from coherence.tasks.rows import Row


def row(split: str, unit: str) -> Row:
    return Row(unit, split, "f", unit, "p", "c", (), {})


def test_a_word_in_nine_or_a_number_makes_no_other_request() -> None:
    rows = [
        row("sft", "play track 7 by abba"),
        row("grpo", "a b c d e f g h i"),
        row("heldout", "Play track 41 by Abba!"),
        row("heldout", "play track one by abba"),
        row("heldout", "a b c d e f g h other"),
        row("validation", "a b"),
    ]
    assert near_duplicates(rows) == {"heldout": 2, "validation": 0}


def test_the_short_way_finds_what_comparing_all_pairs_finds() -> None:
    rng = np.random.default_rng(0)
    made = [frozenset(map(str, rng.integers(0, 14, rng.integers(1, 13)))) for _ in range(300)]
    known, asked = made[:150], made[150:]
    slow = [any(len(a & b) >= ALIKE * len(a | b) for b in known) for a in asked]
    assert resembling(asked, known) == slow and 10 < sum(slow) < 140


def test_words_without_punctuation_and_numbers_as_one() -> None:
    assert word_set('Click "Tab #12", 3pm') == {"click", "tab", "0", "0pm"}
