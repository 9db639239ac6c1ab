"""Mistakes in the files that a data set is made from."""

import json
from collections.abc import Callable

import pytest
from faults.test_config_files import TOOLS
from faults.tried import Shop

ROW = {"q": "play a song", "n": "Play", "a": {"song": "x"}}


def lines(name: str, count: int) -> str:
    return "".join(json.dumps(ROW | {"q": f"{name} {i}"}) + "\n" for i in range(count))


@pytest.fixture
def tools(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """The tool-call task on twelve rows to train and four to test."""
    monkeypatch.setenv("CARL_DATA_ROOT", "source")
    shop.write("source/train.jsonl", lines("train", 12))
    shop.write("source/test.jsonl", lines("test", 4))
    resolve(shop, TOOLS)
    return shop


def resolve(shop: Shop, text: str) -> None:
    shop.write("config/tools.yaml", "base: default.yaml\n" + text)
    shop.run("write_study --configfile config/tools.yaml --out tools.json")


PREPARE = "prepare_data --config tools.json --base base --out tools"


def test_good_files_are_taken(tools: Shop) -> None:
    tools.run(PREPARE)
    assert json.loads((tools.folder / "tools/report.json").read_text())["kept"] == {
        "grpo": 11, "heldout": 4, "sft": 11, "validation": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("{oops", "train.jsonl, line 13: not valid JSON"),
        ("[1, 2]", "train.jsonl, line 13: a JSON object is expected"),
        (b"\xff\xfe{}", "train.jsonl, line 13: not text in UTF-8"),
        (json.dumps({"query": "x", "n": "Play", "a": {}}), "train.jsonl, line 13: column 'q' ... (has: query, n, a)"),
        (json.dumps(ROW | {"q": 3}), "train.jsonl, line 13: column 'q' is missing or not text"),
        (json.dumps(ROW | {"a": [1]}), "train.jsonl, line 13: column 'a' must be an object of arguments"),
        (json.dumps(ROW | {"a": "{bad"}), "train.jsonl, line 13, column 'a': not valid JSON"),
    ],
)
def test_a_broken_row_is_named(tools: Shop, row: str | bytes, said: str) -> None:
    with (tools.folder / "source/train.jsonl").open("ab") as file:
        file.write(row if isinstance(row, bytes) else row.encode())
    tools.refuses(PREPARE, said)


def truncate(name: str) -> Callable[[Shop], object]:
    return lambda shop: shop.write(f"source/{name}", "")


def train_on_the_test(shop: Shop) -> None:
    shop.write("source/train.jsonl", lines("test", 4))


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (truncate("test.jsonl"), "split 'heldout' is empty: check the source files"),
        (truncate("train.jsonl"), "split 'sft' is empty: check the source files"),
        (train_on_the_test, "split 'sft' is empty ... 3 sft: query asked in another split"),
        (
            lambda shop: resolve(shop, TOOLS.replace("max_tokens: 90", "max_tokens: 16")),
            "split 'sft' is empty ... over 16 tokens",
        ),
        (lambda shop: resolve(shop, TOOLS.replace("rows: 1", "rows: 12")), "split 'sft' is empty ... split settings"),
        (lambda shop: resolve(shop, TOOLS.replace("chars: 40", "chars: 4")), "'grpo' ... completion over 4 characters"),
        (lambda shop: (shop.folder / "source/test.jsonl").unlink(), "source/test.jsonl does not exist"),
    ],
)
def test_splits_that_cannot_be_filled(tools: Shop, harm: Callable[[Shop], object], said: str) -> None:
    harm(tools)
    tools.refuses(PREPARE, said)


@pytest.mark.parametrize(
    ("root", "said"),
    [
        (None, "'test.jsonl' is relative to data_root: set CARL_DATA_ROOT, or data_root in the config"),
        ("nowhere", "nowhere/test.jsonl does not exist (data_root is nowhere)"),
    ],
)
def test_a_data_root_that_is_none(tools: Shop, root: str | None, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if root:
        monkeypatch.setenv("CARL_DATA_ROOT", root)
    else:
        monkeypatch.delenv("CARL_DATA_ROOT")
    tools.refuses(PREPARE, said)


def test_rows_longer_than_the_model_can_see(tools: Shop) -> None:
    study = tools.folder / "tools.json"
    values = json.loads(study.read_text())
    values["data"]["max_tokens"] = 129
    study.write_text(json.dumps(values))
    tools.refuses(PREPARE, "129 tokens do not fit the model's context of 128: lower data.max_tokens")
