"""Token statistics from a model: of given completions in one forward, or of completions while they are generated.

Suffixes: _BT completion x position, _BTV also x vocabulary, _BV completion x vocabulary.
"""

from collections.abc import Sequence
from types import TracebackType
from typing import Any

import torch
from transformers import PreTrainedModel

from coherence.core.order_parameter import token_statistics

Ragged = list[list[float]]


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
) -> tuple[Ragged, Ragged, Ragged]:
    """(logp, entropy in nats, Phi) of each completion's tokens given its prompt, in batched no-grad forwards.

    Of the untempered distribution over the first `vocab_size` tokens. An empty completion has empty lists.
    """
    parts: tuple[Ragged, Ragged, Ragged] = ([], [], [])
    for first in range(0, len(completions), batch_size):
        batch = slice(first, first + batch_size)
        scored = _score_batch(model, pad_id, prompts[batch], completions[batch], vocab_size)
        for part, values in zip(parts, scored, strict=True):
            part.extend(values)
    return parts


def _score_batch(
    model: PreTrainedModel, pad_id: int, prompts: Sequence[list[int]], completions: Sequence[list[int]], vocab_size: int
) -> list[Ragged]:
    longest = max(1, *(len(ids) for ids in completions))
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
        [row[: len(ids)].double().cpu().tolist() for row, ids in zip(part, completions, strict=True)] for part in parts
    ]


class GenerationRecorder:
    """Token statistics from the forwards that `model.generate` makes anyway: no forward is added, no logits are kept.

    Used as a context around one generate call of sampled or greedy decoding. The logits are taken as the model gives
    them, before temperature, top-k or masks, so the statistics are those of the untempered distribution.
    """

    def __init__(self, model: torch.nn.Module, vocab_size: int) -> None:
        self.model, self.vocab_size = model, vocab_size
        self._pending_BV: torch.Tensor | None = None
        self._logp: list[torch.Tensor] = []
        self._entropy: list[torch.Tensor] = []

    def __enter__(self) -> "GenerationRecorder":
        self._handle = self.model.register_forward_hook(self._on_forward, with_kwargs=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._handle.remove()

    def _on_forward(self, module: Any, args: Any, kwargs: dict[str, Any], output: Any) -> None:
        if self._pending_BV is not None:
            self._close(kwargs["input_ids"][:, -1])  # what this forward is fed is what the last one's logits gave
        self._pending_BV = output.logits[:, -1].detach()

    def _close(self, ids_B: torch.Tensor) -> None:
        assert self._pending_BV is not None
        inside = ids_B < self.vocab_size
        known = ids_B.clamp(max=self.vocab_size - 1)
        statistics = token_statistics(self._pending_BV[:, None], known[:, None], vocab_size=self.vocab_size)
        self._logp.append(statistics.logp[:, 0].masked_fill(~inside, torch.nan))
        self._entropy.append(statistics.entropy[:, 0].masked_fill(~inside, torch.nan))

    def statistics(self, completions: Sequence[list[int]]) -> tuple[Ragged, Ragged]:
        """(logp, entropy in nats) per token of the completions that the recorded call gave, cut to their lengths."""
        last = len(self._logp)  # a completion that reached the last step was fed to no forward
        assert self._pending_BV is not None, "nothing was generated inside the context"
        ids = [row[last] if len(row) > last else 0 for row in completions]
        self._close(torch.tensor(ids, device=self._pending_BV.device))
        parts = (torch.stack(part, dim=1).double().cpu() for part in (self._logp, self._entropy))
        logp, entropy = (
            [row[: len(ids)].tolist() for row, ids in zip(part, completions, strict=True)] for part in parts
        )
        return logp, entropy
