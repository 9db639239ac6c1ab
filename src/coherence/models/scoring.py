"""Token statistics from a model: of given completions in one forward, or of completions while they are generated.

Suffixes: _BT completion x position, _BS completion x generation step, _BTV and _BSV also x vocabulary.
"""

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

import torch
from transformers import PreTrainedModel

from coherence.core.order_parameter import token_statistics
from coherence.models.vision import Shown

Ragged = list[list[float]]
HELD = 2**20
"""Logits that a recorder keeps at a time (4 MiB of float32), or those of one step if they are more."""


def left_pad(rows: Sequence[list[int]], pad_id: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows as [B, T] ids padded on the left, and their attention mask."""
    length = max(len(row) for row in rows)
    ids_BT = torch.tensor([[pad_id] * (length - len(row)) + row for row in rows], device=device)
    lengths = torch.tensor([len(row) for row in rows], device=device)
    mask_BT = (torch.arange(length, device=device) >= length - lengths[:, None]).long()
    return ids_BT, mask_BT


def score_completions(
    model: PreTrainedModel,
    pad_id: int,
    prompts: Sequence[list[int]],
    completions: Sequence[list[int]],
    vocab_size: int,
    batch_size: int = 64,
    show: Callable[[slice], Shown] | None = None,
) -> tuple[Ragged, Ragged, Ragged]:
    """(logp, entropy in nats, Phi) of each completion's tokens given its prompt, in batched no-grad forwards.

    Of the untempered distribution over the first `vocab_size` tokens. An empty completion has empty lists. Where
    prompts have images, `show` gives a batch of them.
    """
    parts: tuple[Ragged, Ragged, Ragged] = ([], [], [])
    for first in range(0, len(completions), batch_size):
        batch = slice(first, first + batch_size)
        shown = show(batch) if show else None
        scored = _score_batch(model, pad_id, prompts[batch], completions[batch], vocab_size, shown)
        for part, values in zip(parts, scored, strict=True):
            part.extend(values)
    return parts


def _score_batch(
    model: PreTrainedModel,
    pad_id: int,
    prompts: Sequence[list[int]],
    completions: Sequence[list[int]],
    vocab_size: int,
    shown: Shown | None,
) -> list[Ragged]:
    longest = max(1, *(len(ids) for ids in completions))
    padded = [ids + [pad_id] * (longest - len(ids)) for ids in completions]  # causal: what follows cannot be seen
    ids_BT, mask_BT = left_pad([a + b for a, b in zip(prompts, padded, strict=True)], pad_id, model.device)
    if shown is None:
        beside = {"position_ids": (mask_BT.cumsum(dim=1) - 1).clamp(min=0)}
    else:  # where a piece of an image stands in height and width, the model itself says
        length = ids_BT.shape[1]
        beside = shown.inputs([length - longest - len(ids) for ids in prompts], length, model.device)
    with torch.no_grad():
        logits_BTV = model(input_ids=ids_BT, attention_mask=mask_BT, logits_to_keep=longest + 1, **beside).logits[
            :, -longest - 1 : -1
        ]
    statistics = token_statistics(logits_BTV, ids_BT[:, -longest:], vocab_size=vocab_size)
    parts = (statistics.logp, statistics.entropy, statistics.phi)
    return [
        [row[: len(ids)].double().cpu().tolist() for row, ids in zip(part, completions, strict=True)] for part in parts
    ]


class GenerationRecorder:
    """Token statistics from the forwards that `model.generate` makes anyway: no forward is added.

    Used as a context around one generate call of sampled or greedy decoding. The logits are taken as the model gives
    them, before temperature, top-k or masks, so the statistics are those of the untempered distribution. Logits of a
    few steps are kept at a time, HELD numbers at most: one call for many tokens costs less than many calls.
    """

    def __init__(self, model: torch.nn.Module, vocab_size: int) -> None:
        self.model, self.vocab_size = model, vocab_size
        self._logits: list[torch.Tensor] = []
        self._ids: list[torch.Tensor] = []
        self._parts: list[tuple[torch.Tensor, torch.Tensor]] = []

    def __enter__(self) -> "GenerationRecorder":
        self._handle = self.model.register_forward_hook(self._on_forward, with_kwargs=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._handle.remove()

    def _on_forward(self, module: Any, args: Any, kwargs: dict[str, Any], output: Any) -> None:
        if self._logits:  # what this forward is fed is what the last one's logits gave
            self._ids.append(kwargs["input_ids"][:, -1])
            if (len(self._logits) + 1) * self._logits[0].numel() > HELD:
                self._score()
        self._logits.append(output.logits[:, -1].detach())

    def _score(self) -> None:
        """Turn the logits held, whose tokens are all known by now, into statistics [B, S] of their S steps."""
        ids_BS = torch.stack(self._ids, dim=1)
        logits_BSV = torch.stack(self._logits, dim=1) if len(self._logits) > 1 else self._logits[0][:, None]
        known_BS = ids_BS.clamp(max=self.vocab_size - 1)
        statistics = token_statistics(logits_BSV, known_BS, vocab_size=self.vocab_size)
        outside_BS = ids_BS >= self.vocab_size
        self._parts.append(
            (statistics.logp.masked_fill(outside_BS, torch.nan), statistics.entropy.masked_fill(outside_BS, torch.nan))
        )
        self._logits, self._ids = [], []

    def statistics(self, completions: Sequence[list[int]]) -> tuple[Ragged, Ragged]:
        """(logp, entropy in nats) per token of the completions that the recorded call gave, cut to their lengths."""
        assert self._logits, "nothing was generated inside the context"
        # a completion that reached the last step was fed to no forward
        last = sum(part[0].shape[1] for part in self._parts) + len(self._ids)
        ids = [row[last] if len(row) > last else 0 for row in completions]
        self._ids.append(torch.tensor(ids, device=self._logits[0].device))
        self._score()
        wholes = (torch.cat(part, dim=1).double().cpu() for part in zip(*self._parts, strict=True))
        logp, entropy = (
            [row[: len(ids)].tolist() for row, ids in zip(whole, completions, strict=True)] for whole in wholes
        )
        return logp, entropy
