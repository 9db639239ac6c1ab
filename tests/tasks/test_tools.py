"""The tool-call task: text form, rewards, and what happens to bad source rows."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coherence.config.data import ToolsData
from coherence.tasks.rows import Report, check_splits
from coherence.tasks.tools.calls import normalise, read_call, write_call
from coherence.tasks.tools.rewards import argument_reward, exact_reward, format_reward, name_reward
from coherence.tasks.tools.rows import make_rows

WORD = st.text("abcdefghijklmnopqrstuvwxyz '-éß", min_size=1, max_size=12)
KEY = st.from_regex(r"[a-z_]{1,8}", fullmatch=True)
ANSWER = {"name": "Play", "arguments": {"artist": ["Abba"], "year": ["1976", "1977"]}}


@given(KEY, st.dictionaries(KEY, st.lists(WORD, min_size=1, max_size=3), max_size=4))
def test_a_call_survives_its_text_form_and_spans_hold_the_values(name: str, arguments: dict[str, list[str]]) -> None:
    text, spans = write_call(name, arguments)
    assert read_call(text) == (name, arguments)
    assert [text[a:b] for a, b in spans] == ["|".join(values) for values in arguments.values()]


@given(st.text())
def test_rewards_are_bounded_on_any_text(text: str) -> None:
    for reward in (format_reward, name_reward, argument_reward, exact_reward):
        assert 0.0 <= reward(text, ANSWER) <= 1.0


@pytest.mark.parametrize(
    ("text", "scores"),
    [
        ("Play(artist=Abba; year=1976|1977)", (1, 1, 1, 1)),
        ("Play(year=1976|1977; artist=Abba)", (1, 1, 1, 1)),
        ("Play(artist=Abba)", (1, 1, 0.5, 0)),
        ("Stop(artist=Abba; year=1976|1977)", (1, 0, 0, 0)),
        ("Play(artist=Abba; artist=Abba)", (0, 0, 0, 0)),
        ("Play(artist Abba)", (0, 0, 0, 0)),
        ("Play()", (1, 1, 0, 0)),
        ("nonsense", (0, 0, 0, 0)),
        ("Play(" + "(" * 50_000, (0, 0, 0, 0)),
    ],
)
def test_known_scores(text: str, scores: tuple[float, ...]) -> None:
    rewards = (format_reward, name_reward, argument_reward, exact_reward)
    assert tuple(reward(text, ANSWER) for reward in rewards) == pytest.approx(scores)


def config(**changes: object) -> ToolsData:
    return ToolsData(
        **{
            "task": "tools",
            "train": {"file": "train.jsonl"},
            "test": {"file": "test.jsonl"},
            "columns": {"query": "q", "name": "tool", "arguments": "args"},
            "prompt": "Q: {query}\nA:",
            "validation_rows": 2,
            "max_tokens": 100,
            "grpo_max_completion_chars": 20,
            "seed": 0,
        }
        | changes
    )


def write(folder: Path, name: str, records: list[object]) -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(r) + "\n" if not isinstance(r, str) else r + "\n" for r in records))
    return path


def record(query: str, **arguments: object) -> dict[str, object]:
    return {"q": query, "tool": "Play", "args": arguments}


def make(folder: Path, train: list[object], test: list[object], **changes: object):
    report = Report()
    sources = {"train.jsonl": write(folder, "train.jsonl", train), "test.jsonl": write(folder, "test.jsonl", test)}
    return make_rows(config(**changes), sources, str, np.random.default_rng(0), report), report


def test_columns_are_mapped_and_queries_of_other_splits_dropped(tmp_path: Path) -> None:
    train = [record(f"play {i}", artist=str(i)) for i in range(20)] + [record("PLAY  abba", artist="abba")]
    rows, report = make(tmp_path, train, [record("play abba", artist="abba"), record("b", artist="a|b")])
    check_splits(rows, ("sft", "grpo", "heldout"))
    splits = [row.split for row in rows]
    assert (splits.count("sft"), splits.count("validation"), splits.count("heldout")) == (18, 2, 1)
    assert sum(n for reason, n in report.dropped.items() if "another split" in reason) == 1
    assert report.dropped["heldout: call does not survive its text form"] == 1
    assert rows[0].prompt.startswith("Q: play ") and rows[0].completion.startswith("Play(artist=")


def test_long_gold_calls_are_left_out_of_grpo_and_counted(tmp_path: Path) -> None:
    train = [record(f"q{i}", artist="x" * (i + 1)) for i in range(20)]
    rows, report = make(tmp_path, train, [record("t", artist="a")])
    grpo = [row for row in rows if row.split == "grpo"]
    assert grpo and all(len(row.completion) <= 20 for row in grpo)
    assert report.dropped["grpo: gold completion over 20 characters"] == 18 - len(grpo)


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ("{not json", "train.jsonl, line 2: not valid JSON"),
        ("[1]", "train.jsonl, line 2: a JSON object is expected"),
        (json.dumps({"query": "x"}), "column 'q' is missing or not text"),
        (json.dumps({"q": "x", "tool": "T", "args": [1]}), "must be an object of arguments"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, bad: str, said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("(", r"\(")):
        make(tmp_path, [record("a", x="y"), bad], [record("t", x="y")])


def test_arguments_may_be_a_json_string_and_lists_stay_lists(tmp_path: Path) -> None:
    rows, _ = make(
        tmp_path, [{"q": f"a{i}", "tool": "T", "args": '{"k": ["x", "y"]}'} for i in range(4)], [record("t", x=1)]
    )
    assert rows[0].completion == "T(k=x|y)"
    assert normalise({"k": ["x", 2]}) == {"k": ["x", "2"]}
