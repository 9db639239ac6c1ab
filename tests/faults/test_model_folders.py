"""Mistakes in the folder of a person's own model, and in the machine that it is to run on."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from faults.tried import Shop
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

TAKE = "make_base --config local.json --out taken"


@pytest.fixture
def local(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """A study that starts from the model folder models/mine."""
    monkeypatch.setenv("CARL_DATA_ROOT", "models")
    shop.write("config/local.yaml", "base: default.yaml\nmodel: {kind: local, path: mine}\n")
    shop.run("write_study --configfile config/local.yaml --out local.json")
    kept = shutil.ignore_patterns("card.json", "manifest.json")
    shutil.copytree(shop.folder / "base", shop.folder / "models/mine", ignore=kept)
    return shop


def test_a_good_folder_is_taken(local: Shop) -> None:
    local.run(TAKE)
    assert (local.folder / "taken/manifest.json").is_file()


def without(*names: str) -> Callable[[Path], None]:
    def harm(folder: Path) -> None:
        for name in names:
            (folder / name).unlink()

    return harm


def write(name: str, text: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_text(text) and None


def pickled(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def cut_short(folder: Path) -> None:
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[: len(data) // 2])


def lose_a_layer(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    save_file({name: w for name, w in weights.items() if "mlp.up" not in name}, folder / "model.safetensors")


def other_width(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"hidden_size": 32}))


def small_head(folder: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(folder)
    model.resize_token_embeddings(500)
    model.save_pretrained(folder)


def no_end(folder: Path) -> None:
    config = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(config | {"eos_token": None}))


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (without("model.safetensors"), "models/mine holds no .safetensors file"),
        (pickled, "models/mine holds no .safetensors file (other weight formats are not read)"),
        (without("config.json"), "models/mine is not a model folder (config.json and *.safetensors are needed)"),
        (without("tokenizer.json", "tokenizer_config.json"), "models/mine: no tokenizer ... tokenizer.json"),
        (write("tokenizer.json", "{broken"), "models/mine: no tokenizer loads from it"),
        (write("tokenizer.json", "{}"), "models/mine: no tokenizer loads from it"),
        (no_end, "models/mine: the tokenizer has no end-of-sequence token"),
        (write("config.json", "{broken"), "models/mine: ... config.json"),
        (write("config.json", '{"model_type": "nonsense"}'), "models/mine: ... `nonsense`"),
        (write("model.safetensors", "nothing of the kind"), "models/mine: the model does not load"),
        (cut_short, "models/mine: the model does not load ... must be whole"),
        (other_width, "models/mine: ... the weights have other shapes than config.json says"),
        (lose_a_layer, "models/mine: the weights lack model.layers.0.mlp.up_proj.weight"),
        (small_head, "the head has 500 rows but the tokenizer ... are they of one model?"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)  # fmt: skip
def test_a_folder_that_is_no_whole_model(local: Shop, harm: Callable[[Path], None], said: str) -> None:
    harm(local.folder / "models/mine")
    local.refuses(TAKE, said)


@pytest.mark.parametrize(
    ("root", "said"),
    [
        (None, "'mine' is relative to data_root: set CARL_DATA_ROOT, or data_root in the config"),
        ("nowhere", "nowhere/mine does not exist (data_root is nowhere)"),
    ],
)
def test_a_data_root_that_is_none(local: Shop, root: str | None, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if root:
        monkeypatch.setenv("CARL_DATA_ROOT", root)
    else:
        monkeypatch.delenv("CARL_DATA_ROOT")
    local.refuses(TAKE, said)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there(shop: Shop) -> None:
    shop.write("config/gpu.yaml", "base: default.yaml\ncompute: {device: cuda}\n")
    shop.run("write_study --configfile config/gpu.yaml --out gpu.json")
    said = "compute.device is cuda, but there is none: run on a GPU, or set it to cpu"
    shop.refuses("make_base --config gpu.json --out gpu", said)
    shop.refuses("train_sft --config gpu.json --seed 0 --base base --data data --out gpu", said)


def test_completions_longer_than_the_model_can_see(shop: Shop) -> None:
    study = json.loads((shop.folder / "study.json").read_text())
    study["grpo"]["max_completion_length"] = study["evaluate"]["max_new_tokens"] = 120
    shop.write("long.json", json.dumps(study))
    cell = "--config long.json --seed 0 --data data --out long"
    said = (
        "tokens do not fit the model's context of 128: lower ... grpo.max_completion_length ... evaluate.max_new_tokens"
    )
    shop.refuses(f"train_grpo {cell} --arm task --sft sft", said)
    shop.refuses(f"check_start {cell} --sft sft", said)
    shop.refuses(f"generate_heldout {cell} --arm sft --model sft", said)
