"""Generations of a checkpoint, stored once with every token's statistics; scores come later, from the file.

Suffixes: _BT completion x position, _BTV also x vocabulary.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from coherence.console import Ticker
from coherence.core.order_parameter import token_statistics
from coherence.models.load import (
    check_head,
    is_finite,
    judged_text,
    load_model,
    load_tokenizer,
    prompt_ids,
    quiet,
)
from coherence.tasks.read import read_rows


def generate_split(model: Path, data: Path, split: str, device: str, **how: Any) -> pd.DataFrame:
    """`generate` for the rows of one split of a data set's folder, from the checkpoint in folder `model`."""
    quiet()
    return generate(load_model(model, device), load_tokenizer(model), read_rows(data / "data.parquet", split), **how)


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
) -> pd.DataFrame:
    """One line per completion: row id, mode (greedy or sampled), sample number, text, ids, and per token the logp,
    entropy (nats) and Phi of the untempered distribution that predicted it, given its prompt.

    A model that diverged says nothing: its completions are empty, so that they score as failures and are not missing.
    """
    vocab_size = check_head(model, tokenizer)
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
            lines += list(_generate_batch(model, tokenizer, batch, temperature, max_new_tokens, vocab_size))
        else:
            lines += [_line(tokenizer, request, [], ([], [], [])) for request in batch]
        ticker(number, len(batches), "batches of completions")
    return pd.DataFrame(lines)


Request = tuple[dict[str, Any], str, int]
"""Row, mode, sample number."""


def chunks(plan: list[Request], size: int) -> Iterator[list[Request]]:
    """Consecutive slices of at most `size`."""
    return (plan[start : start + size] for start in range(0, len(plan), size))


def _generate_batch(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    batch: Sequence[Request],
    temperature: float,
    max_new_tokens: int,
    vocab_size: int,
) -> Iterator[dict[str, Any]]:
    prompts = [prompt_ids(tokenizer, row["prompt"]) for row, _, _ in batch]
    ids_BT, mask_BT = left_pad(prompts, tokenizer.pad_token_id, model.device)
    sampled = batch[0][1] == "sampled"
    sampling = (
        {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0} if sampled else {"do_sample": False}
    )
    with torch.no_grad():
        out_BT = model.generate(
            input_ids=ids_BT, attention_mask=mask_BT, max_new_tokens=max_new_tokens,
            eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
            remove_invalid_values=True, **sampling,
        )  # fmt: skip
    completions = [until_end(row.tolist(), tokenizer.eos_token_id) for row in out_BT[:, ids_BT.shape[1] :]]
    statistics = score_tokens(model, tokenizer.pad_token_id, prompts, completions, vocab_size)
    for request, ids, tokens in zip(batch, completions, statistics, strict=True):
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


def left_pad(rows: Sequence[list[int]], pad_id: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows as [B, T] ids padded on the left, and their attention mask."""
    length = max(len(row) for row in rows)
    ids_BT = torch.tensor([[pad_id] * (length - len(row)) + row for row in rows], device=device)
    lengths = torch.tensor([len(row) for row in rows], device=device)
    mask_BT = (torch.arange(length, device=device) >= length - lengths[:, None]).long()
    return ids_BT, mask_BT


def score_tokens(
    model: PreTrainedModel, pad_id: int, prompts: Sequence[list[int]], completions: Sequence[list[int]], vocab_size: int
) -> list[tuple[list[float], list[float], list[float]]]:
    """(logp, entropy, Phi) of each completion's tokens given its prompt, in one batched no-grad forward."""
    longest = max(len(ids) for ids in completions)
    padded = [ids + [pad_id] * (longest - len(ids)) for ids in completions]  # causal: what follows cannot be seen
    ids_BT, mask_BT = left_pad([a + b for a, b in zip(prompts, padded, strict=True)], pad_id, model.device)
    positions_BT = (mask_BT.cumsum(dim=1) - 1).clamp(min=0)
    with torch.no_grad():
        logits_BTV = model(
            input_ids=ids_BT, attention_mask=mask_BT, position_ids=positions_BT, logits_to_keep=longest + 1
        ).logits[:, -longest - 1 : -1]
    statistics = token_statistics(logits_BTV, ids_BT[:, -longest:], vocab_size=vocab_size)
    parts = (statistics.logp, statistics.entropy, statistics.phi)
    return [
        tuple(part[i, : len(ids)].double().cpu().tolist() for part in parts)  # type: ignore[misc]
        for i, ids in enumerate(completions)
    ]
