"""Shared by all tests: offline, one thread, a tiny model and its data set."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from tiny_settings import TINY_DATA, TINY_MODEL, TINY_SFT

os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A random embedded model and its tokenizer saved in `base`, and the rows of a four-by-four grounding task."""
    from coherence.config.base import EmbeddedModel
    from coherence.config.data import GroundingData
    from coherence.models.embedded import make_llama, make_tokenizer
    from coherence.models.load import quiet, render_prompt, save_model
    from coherence.streams import generator
    from coherence.tasks.grounding.rows import make_rows
    from coherence.tasks.read import read_rows
    from coherence.tasks.rows import to_table

    quiet()
    folder = tmp_path_factory.mktemp("tiny")
    config = EmbeddedModel.parse(TINY_MODEL, "model")
    tokenizer = make_tokenizer(config, generator(0, "tokenizer"))
    save_model(make_llama(config, tokenizer, seed=0), tokenizer, folder / "base")
    rows = list(
        make_rows(
            GroundingData.parse(TINY_DATA, "data"), lambda text: render_prompt(tokenizer, text), generator(0, "data")
        )
    )
    to_table(rows).to_parquet(folder / "data.parquet", index=False)
    return SimpleNamespace(
        folder=folder,
        base=folder / "base",
        config=config,
        tokenizer=tokenizer,
        rows={split: read_rows(folder / "data.parquet", split) for split in ("sft", "grpo", "heldout")},
    )


@pytest.fixture(scope="session")
def tuned(tiny: SimpleNamespace) -> Path:
    """The tiny model after forty steps of SFT: it ends its completions, at different lengths."""
    from coherence.config.compute import Compute
    from coherence.config.sft import SftConfig
    from coherence.models.load import load_model
    from coherence.training.sft import train

    folder = tiny.folder / "tuned"
    folder.mkdir()
    config = SftConfig.parse(TINY_SFT, "sft")
    train(
        config,
        Compute(device="cpu", bf16=False),
        load_model(tiny.base, "cpu"),
        tiny.tokenizer,
        tiny.rows["sft"],
        folder,
        0,
    )
    return folder
