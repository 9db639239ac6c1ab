"""Mistakes in the folders that a program reads its inputs from, and in the one that it is to write."""

import json
from collections.abc import Callable

import pytest
from faults.tried import Shop

SFT = "train_sft --config study.json --seed 0"
GRPO = "train_grpo --config study.json --arm task --seed 0"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (f"{SFT} --base base --data data --out base", "--out base is an input, which it would replace"),
        (f"{SFT} --base base --data data --out sft/../data", "is an input, which it would replace"),
        (f"{SFT} --base base --data data --out config/tiny.yaml", "config/tiny.yaml ... may it be read or written"),
        (f"{SFT} --base base --data data --out config/tiny.yaml/x", "config/tiny.yaml ... may it be read or written"),
        ("write_study --configfile config/tiny.yaml --out study.json/x", "study.json ... may it be read or written"),
        (f"{SFT} --base nowhere --data data --out x", "input base: nowhere/manifest.json is missing: build it first"),
        (f"{SFT} --base base --data base --out x", "base/data.parquet is missing: is that the folder of a data set"),
        (f"{SFT} --base data --data data --out x", "data: no tokenizer loads from it"),
        (f"{GRPO} --sft base --data data --out x", "base/outcome.json: No such file ... is the path right"),
        (f"{GRPO} --sft sft --data sft --out x", "sft/data.parquet is missing: is that the folder of a data set"),
        ("evaluate_model --config study.json --data data --generations base --out x", "base/generations.parquet"),
        (
            "score_compat --config study.json --data data --scores base --models sft --generations data --out x",
            "--models and --generations name the same checkpoints",
        ),
    ],
)  # fmt: skip
def test_a_wrong_folder_is_named(shop: Shop, command: str, said: str) -> None:
    shop.refuses(command, said)


def drop(name: str) -> Callable[[Shop], object]:
    return lambda shop: (shop.folder / name).unlink()


def lead_outside(shop: Shop) -> None:
    entry = {"name": "../study.json", "size": 1, "sha256": ""}
    shop.write("data/manifest.json", json.dumps({"files": [entry]}))


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda shop: shop.write("data/manifest.json", "{"), "data/manifest.json is not JSON"),
        (lambda shop: shop.write("data/manifest.json", "{}"), "data/manifest.json has no key 'files'"),
        (lead_outside, "data/manifest.json lists ../study.json, which is outside its folder"),
        (lambda shop: shop.write("data/data.parquet", "PAR1"), "data/data.parquet has 4 bytes, its manifest says"),
        (drop("data/data.parquet"), "data/data.parquet is missing: run `python scripts/verify.py`"),
    ],
)
def test_a_damaged_input_is_named(shop: Shop, harm: Callable[[Shop], object], said: str) -> None:
    harm(shop)
    shop.refuses(f"{SFT} --base base --data data --out x", said)


def test_a_damaged_card_is_not_believed(shop: Shop) -> None:
    """The run is made again, with the same bytes, and has a card again."""
    manifest = (shop.folder / "sft/manifest.json").read_bytes()
    shop.write("sft/card.json", "{}")
    assert "nothing to do" not in shop.run(f"{SFT} --base base --data data --out sft")
    assert (shop.folder / "sft/manifest.json").read_bytes() == manifest
    assert "nothing to do" in shop.run(f"{SFT} --base base --data data --out sft")
