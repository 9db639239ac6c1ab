"""Baselines without a model, on rows whose right answers are plain."""

from typing import Any

from coherence.evaluation.baselines import majority, nearest, nearest_rows, score_baselines
from coherence.tasks.tools.calls import write_call


def row(number: int, query: str, name: str, **arguments: str) -> dict[str, Any]:
    values = {key: [value] for key, value in arguments.items()}
    answer = {"name": name, "arguments": values}
    return {
        "id": str(number),
        "prompt": f"Q: {query}\nA:",
        "family": name,
        "completion": write_call(name, values)[0],
        "answer": answer,
    }


TRAIN = [
    row(0, "play some jazz", "Play", genre="jazz"),
    row(1, "play Blue Train now", "Play", album="Blue Train"),
    row(2, "is it raining in Oslo", "Weather", city="Oslo"),
    row(3, "play some jazz please", "Play", genre="jazz"),
]


def test_majority_is_the_most_frequent_call() -> None:
    assert majority(TRAIN, TRAIN[:2]) == [["Play(genre=jazz)"]] * 2


def test_nearest_goes_by_rare_words_and_takes_the_first_of_equals() -> None:
    asked = [row(9, "raining again, in Oslo?", "Weather"), row(8, "nothing known", "Play")]
    assert nearest(TRAIN, asked) == [[TRAIN[2]["completion"]], [TRAIN[0]["completion"]]]


def test_lexicon_finds_known_values_longest_first_in_the_querys_own_letters() -> None:
    asked = [row(9, "play blue train", "Play", album="blue train"), row(8, "raining in Rome", "Weather", city="Rome")]
    scores = score_baselines("tools", TRAIN, asked).set_index(["baseline", "id"])
    assert scores.loc[("lexicon", "9"), "completion"] == "Play(album=blue train)"
    assert scores.loc[("lexicon", "9"), "strict"] == 1.0
    assert scores.loc[("lexicon", "8"), "completion"] == "Weather()", "an unknown value cannot be found"
    assert scores.loc[("lexicon", "8"), ["name", "strict"]].tolist() == [1.0, 0.0]
    assert scores.loc[("majority", "9"), "name"] == 1.0 and scores.loc[("majority", "8"), "name"] == 0.0


def test_a_rare_word_outweighs_two_common_ones() -> None:
    """Without idf the rows that share two words would be nearest."""
    train = [row(n, "play the song", "Play") for n in range(4)] + [row(4, "zither", "Zither"), row(5, "x", "X")]
    assert nearest_rows(train, [row(9, "the song zither", "Zither")]) == [4]


def test_a_long_prompt_is_not_near_for_its_length() -> None:
    """Without norms the long row would win, since it says both words."""
    train = [row(0, "alpha beta c d e f g h i j k l", "Long"), row(1, "alpha", "Short"), row(2, "other", "Other")]
    assert nearest_rows(train, [row(9, "alpha beta", "?")]) == [1]
