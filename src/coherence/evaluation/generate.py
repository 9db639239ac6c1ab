"""Generations of a checkpoint, stored once with every token's statistics; scores come later, from the file.

Suffix: _BT completion x position.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase, ProcessorMixin

from coherence.console import Ticker
from coherence.models.load import (
    check_context,
    check_head,
    is_finite,
    judged_text,
    load_model,
    prompt_ids,
    prompt_length,
    quiet,
)
from coherence.models.scoring import left_pad, score_completions
from coherence.models.vision import load_reader, show
from coherence.tasks.images import open_rows
from coherence.tasks.read import read_rows


def generate_split(
    model: Path, data: Path, split: str, device: str, images: Path | None = None, **how: Any
) -> pd.DataFrame:
    """`generate` for the rows of one split of a data set's folder, from the checkpoint in folder `model`; `images` is
    the root of their paths, for a task that shows images."""
    quiet()
    tokenizer, processor = load_reader(model, bool(images))
    rows = read_rows(data / "data.parquet", split, images)
    return generate(load_model(model, device, bool(images)), tokenizer, rows, processor=processor, **how)


def generate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[dict[str, Any]],
    *,
    samples: int,
    temperature: float,
    max_new_tokens: int,
    batch_size: int,
    greedy: bool = True,
    seed: int,
    processor: ProcessorMixin | None = None,
) -> pd.DataFrame:
    """One line per completion: row id, mode (greedy or sampled), sample number, text, ids, and per token the logp,
    entropy (nats) and Phi of the untempered distribution that predicted it, given its prompt.

    A model that diverged says nothing: its completions are empty, so that they score as failures and are not missing.
    """
    vocab_size = check_head(model, tokenizer)
    check_context(model.config, max(prompt_length(tokenizer, row) for row in rows) + max_new_tokens)
    model.eval()
    finite = is_finite(model)
    torch.manual_seed(seed)
    greedy_plan = [(row, "greedy", 0) for row in rows] if greedy else []
    batches = [
        *chunks(greedy_plan, batch_size),
        *chunks([(r, "sampled", k) for r in rows for k in range(samples)], batch_size),
    ]
    ticker, lines = Ticker(), []
    for number, batch in enumerate(batches, start=1):
        if finite:
            lines += list(complete(model, tokenizer, batch, temperature, max_new_tokens, vocab_size, processor))
        else:
            lines += [_line(tokenizer, request, [], ([], [], [])) for request in batch]
        ticker(number, len(batches), "batches of completions")
    return pd.DataFrame(lines)


Request = tuple[dict[str, Any], str, int]
"""Row, mode, sample number."""


def chunks(plan: list[Request], size: int) -> Iterator[list[Request]]:
    """Consecutive slices of at most `size`."""
    return (plan[start : start + size] for start in range(0, len(plan), size))


def complete(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    batch: Sequence[Request],
    temperature: float,
    max_new_tokens: int,
    vocab_size: int,
    processor: ProcessorMixin | None = None,
) -> Iterator[dict[str, Any]]:
    """The lines of `generate` for some requests, all greedy or all sampled."""
    texts = [row["prompt"] for row, _, _ in batch]
    shown = processor and show(processor, texts, open_rows(row for row, _, _ in batch))
    prompts = shown.ids if shown else [prompt_ids(tokenizer, text) for text in texts]
    ids_BT, mask_BT = left_pad(prompts, tokenizer.pad_token_id, model.device)
    length, beside = ids_BT.shape[1], dict[str, Any]()
    if shown:
        beside |= shown.inputs([length - len(ids) for ids in prompts], length, model.device)
        beside["suppress_tokens"] = [model.config.image_token_id]  # it would stand for an image that is not there
    sampled = batch[0][1] == "sampled"
    sampling = (
        {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0} if sampled else {"do_sample": False}
    )
    with torch.no_grad():
        out_BT = model.generate(
            input_ids=ids_BT, attention_mask=mask_BT, max_new_tokens=max_new_tokens,
            eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
            remove_invalid_values=True, **sampling, **beside,
        )  # fmt: skip
    completions = [until_end(row.tolist(), tokenizer.eos_token_id) for row in out_BT[:, length:]]
    at_once, again = (len(batch), lambda rows: shown) if shown else (64, None)
    scored = score_completions(model, tokenizer.pad_token_id, prompts, completions, vocab_size, at_once, again)
    for request, ids, *tokens in zip(batch, completions, *scored, strict=True):
        yield _line(tokenizer, request, ids, tokens)


def _line(
    tokenizer: PreTrainedTokenizerBase, request: Request, ids: list[int], tokens: Sequence[list[float]]
) -> dict[str, Any]:
    row, mode, sample = request
    text, ended = judged_text(tokenizer, ids), ids[-1:] == [tokenizer.eos_token_id]
    values = dict(zip(("logp", "entropy", "phi"), tokens, strict=True))
    return {"id": row["id"], "mode": mode, "sample": sample, "completion": text, "ended": ended, "ids": ids} | values


def until_end(ids: list[int], end: int) -> list[int]:
    """The sampled ids up to and with the first end token."""
    return ids[: ids.index(end) + 1] if end in ids else ids
