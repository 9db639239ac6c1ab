"""A pretrained model comes in with one head row per token, and without its own sampling habits."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from coherence.models.load import load_model, load_tokenizer, save_model
from scripts.make_base import take_pretrained


def test_a_padded_head_loses_its_dead_rows_and_nothing_else(tiny: SimpleNamespace, tuned: Path, tmp_path: Path) -> None:
    model, size = load_model(tuned, "cpu"), len(tiny.tokenizer)
    model.resize_token_embeddings(size + 13, mean_resizing=False)
    model.generation_config.repetition_penalty = 1.7
    (tmp_path / "in").mkdir()
    save_model(model, tiny.tokenizer, tmp_path / "in")
    (tmp_path / "out").mkdir()
    sources = {"config.json": tmp_path / "in/config.json"}
    told = take_pretrained({"kind": "local", "path": "in"}, sources, tmp_path / "out")
    assert told == {"head_rows": size + 13, "vocab_size": size}
    taken = load_model(tmp_path / "out", "cpu")
    ids = torch.tensor([[5, 6, 7]])
    with torch.no_grad():
        torch.testing.assert_close(taken(ids).logits, model(ids).logits[..., :size])
    assert taken.generation_config.repetition_penalty in (None, 1.0)
    assert len(load_tokenizer(tmp_path / "out")) == size


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not a model folder"):
        load_model(tmp_path, "cpu")
