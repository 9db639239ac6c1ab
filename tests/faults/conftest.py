"""A tiny study's base, data and SFT run, made once by the programs themselves; each test has its own copy."""

import shutil
from pathlib import Path

import pytest
from faults.tried import Shop
from repository import REPO
from workflow.working_copy import TINY

STUDY = TINY.replace("model: {", "model: {prior: none, ").replace("max_steps: 25", "max_steps: 3")


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shop")


@pytest.fixture
def shop(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Shop:
    """A folder with config/tiny.yaml, and study.json, base/, data/ and sft/ made from it."""
    if not (made / "sft").is_dir():
        make(Shop(made, monkeypatch, capfd))
    shutil.copytree(made, tmp_path / "shop")
    return Shop(tmp_path / "shop", monkeypatch, capfd)


def make(shop: Shop) -> None:
    shop.write("config/default.yaml", (REPO / "config/default.yaml").read_bytes())
    shop.write("config/tiny.yaml", STUDY)
    shop.run("write_study --configfile config/tiny.yaml --out study.json")
    shop.run("make_base --config study.json --out base")
    shop.run("prepare_data --config study.json --base base --out data")
    shop.run("train_sft --config study.json --seed 0 --base base --data data --out sft")
