"""Memory that a stage takes on its device, in bytes: what the model's own code allocates is counted, the rest computed.

A forward and a backward run on tensors without storage, so every architecture is counted by its own code; a size that
changes takes a second of counting. Not in it: what images add, other processes, and holes that an allocator leaves.
Legend: B batch, T tokens, P prompt, C completion, V vocabulary, D width, N = B*T rows of the head.
"""

import weakref
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary
from transformers import PreTrainedModel

FLOAT = 4
ADAM = 2 * FLOAT
"""Bytes of AdamW's two moments of one trained number."""
TILE_ROWS, TILE_COLUMNS = 4096, 32768
"""TRL's fused head holds this much of the logits at a time."""
HOST_TILES, DEVICE_TILES = 8.25, 1.0
"""Tiles at the highest, in the backward: without Triton every step of its arithmetic makes one (a mask: a quarter)."""
SCORED = 64
"""Completions that are scored in one forward, with all their logits."""
SAMPLED = 5
"""Copies of one step's logits while a token is drawn: the model's, processed, its probabilities, the recorder's."""


@dataclass(frozen=True)
class Need:
    """Bytes of one stage, each part at its highest; they are not all held at once, `peak` is. `when`: the phase."""

    weights: int
    gradients: int
    optimizer: int
    activations: int
    cache: int
    peak: int
    when: str


@dataclass(frozen=True)
class Split:
    """How a step's rows are divided: among processes, and on each of them into parts; in how many shards the weights
    are held; bytes that are set aside."""

    processes: int = 1
    shards: int = 1
    parts: int = 1
    reserved: int = 0

    def rows(self, batch: int) -> int:
        """Rows in one forward."""
        return batch // (self.processes * self.parts)


ALONE = Split()


class _Live(TorchDispatchMode):
    """Adds up the storages that operations make and have not yet let go."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.peak = 0
        self.seen = WeakIdKeyDictionary()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for storage in _storages((args, kwargs)):  # what comes in unseen was there before
            self.seen.setdefault(storage, 0)  # type: ignore[no-untyped-call]
        out = function(*args, **(kwargs or {}))
        for storage in _storages(out):
            if storage not in self.seen:
                self._hold(storage)
        self.peak = max(self.peak, self.now)
        return out

    def _hold(self, storage: torch.UntypedStorage) -> None:
        size = storage.nbytes()
        self.seen[storage] = size
        self.now += size
        weakref.finalize(storage, self._let_go, size)

    def _let_go(self, size: int) -> None:
        self.now -= size


def _storages(values: Any) -> list[torch.UntypedStorage]:
    return [leaf.untyped_storage() for leaf in tree_leaves(values) if isinstance(leaf, torch.Tensor)]


class _Head(torch.autograd.Function):
    """What TRL's fused head allocates: tiles of logits, and gradients of hidden states [N, D] and head [V, D]."""

    @staticmethod
    def forward(ctx: Any, hidden_ND: torch.Tensor, weight_VD: torch.Tensor, tiles: float) -> torch.Tensor:
        ctx.save_for_backward(hidden_ND, weight_VD)
        ctx.tiles = tiles
        _tiles(hidden_ND, weight_VD, tiles)
        return hidden_ND.new_empty(len(hidden_ND))

    @staticmethod
    def backward(ctx: Any, grad_N: torch.Tensor) -> Any:
        hidden_ND, weight_VD = ctx.saved_tensors
        of_hidden, of_weight, _ = ctx.needs_input_grad
        of_hidden = torch.empty_like(hidden_ND) if of_hidden else None
        of_weight = torch.empty_like(weight_VD) if of_weight else None
        _tiles(hidden_ND, weight_VD, ctx.tiles)
        return of_hidden, of_weight, None


def _tiles(hidden_ND: torch.Tensor, weight_VD: torch.Tensor, tiles: float) -> torch.Tensor:
    rows, columns = min(len(hidden_ND), TILE_ROWS), min(len(weight_VD), TILE_COLUMNS)
    return hidden_ND.new_empty(rows, int(tiles * columns))


@dataclass(frozen=True)
class Count:
    """Bytes that one call holds beside the weights: at its highest, after its forward, and in the cache it leaves."""

    peak: int
    forward: int
    cache: int = 0


@dataclass(frozen=True)
class Counter:
    """Counts calls of one model, in float32 or under autocast; `on_host`: by the operations of a CPU."""

    model: PreTrainedModel
    mode: FakeTensorMode
    on_host: bool
    bf16: bool

    @property
    def context(self) -> int | None:
        """Positions that the model has."""
        positions: int | None = self.model.config.get_text_config().to_dict().get("max_position_embeddings")
        return positions

    @property
    def weights(self) -> int:
        """Bytes of all parameters."""
        return sum(p.numel() * p.element_size() for p in self.model.parameters())

    @property
    def trained(self) -> int:
        """How many numbers are trained."""
        return sum(p.numel() for p in self.model.parameters() if p.requires_grad)

    def step(self, batch: int, tokens: int, parts: int = 1) -> Count:
        """Forward and backward of a training batch [B, T] through the backbone and TRL's head; with more than one
        part of a step the gradients of the last part are there already."""
        tiles = HOST_TILES if self.on_host else DEVICE_TILES
        head, forward = self.model.get_output_embeddings(), 0
        with self.mode, _Live() as live:
            for _ in range(min(parts, 2)):
                before = live.now
                with self._autocast():
                    out = self.model.base_model(**_batch(batch, tokens), use_cache=False).last_hidden_state
                    out = _Head.apply(out.reshape(-1, out.shape[-1]), head.weight, tiles)  # type: ignore[no-untyped-call]
                forward = live.now - before
                out.sum().backward()
            del out
            self.model.zero_grad()
        return Count(live.peak, forward)

    def look(self, batch: int, tokens: int, keep: int, cache: bool = False) -> Count:
        """A forward without gradient: logits of the last `keep` positions, and with `cache` what generation keeps.

        Scoring (without cache) is done outside of autocast.
        """
        with self.mode, torch.no_grad(), self._autocast() if cache else nullcontext(), _Live() as live:
            out = self.model(**_batch(batch, tokens), use_cache=cache, logits_to_keep=keep)
            forward, kept = live.now, out.past_key_values
            del out
            return Count(live.peak, forward, live.now if kept else 0)

    def _autocast(self) -> AbstractContextManager[Any]:
        return torch.autocast("cpu", torch.bfloat16) if self.bf16 else nullcontext()


def _batch(batch: int, tokens: int) -> dict[str, torch.Tensor]:
    """Ids, and the mask [B, 1, T, T] that padding makes the library build."""
    ids_BT = torch.zeros(batch, tokens, dtype=torch.long)
    return {"input_ids": ids_BT, "attention_mask": torch.ones(batch, 1, tokens, tokens, dtype=torch.bool)}


def generating(counter: Counter, batch: int, prompt: int, completion: int) -> Count:
    """Prompts through the model, then token by token: the cache grows by copies, the logits are of one position."""
    first = counter.look(batch, prompt, keep=1, cache=True)
    cache = first.cache * (prompt + completion) // prompt
    layers = max(1, counter.model.config.get_text_config().num_hidden_layers)
    drawn = SAMPLED * batch * counter.model.get_output_embeddings().weight.shape[0] * FLOAT
    return Count(max(first.peak, cache + cache // layers + drawn), drawn // SAMPLED, cache)


def scoring(counter: Counter, batch: int, prompt: int, completion: int) -> Count:
    """All logits of some completions at once."""
    return counter.look(min(batch, SCORED), prompt + completion, keep=completion + 1)


def training_need(counter: Counter, batch: int, tokens: int, split: Split = ALONE) -> Need:
    """SFT (and pre-training) of a batch [B, T]."""
    return _need(counter, 1, {"train": counter.step(split.rows(batch), tokens, split.parts)}, split)


def rollout_need(counter: Counter, batch: int, prompt: int, completion: int, split: Split = ALONE) -> Need:
    """GRPO: generate, score with the weights of the start, which are held too, then train on the batch.

    Under adapters the start is the model without them. vLLM takes its share of the device at the beginning.
    """
    phases = {"train": counter.step(split.rows(batch), prompt + completion, split.parts)}
    phases["score"] = scoring(counter, split.rows(batch), prompt, completion)
    if not split.reserved:
        phases["generate"] = generating(counter, batch // split.processes, prompt, completion)
    adapted = counter.trained < counter.model.num_parameters()
    return _need(counter, 1 if adapted else 2, phases, split)


def generation_need(counter: Counter, batch: int, prompt: int, completion: int) -> Need:
    """Generate and score, without training."""
    phases = {"generate": generating(counter, batch, prompt, completion)}
    phases["score"] = scoring(counter, batch, prompt, completion)
    return _need(counter, 1, phases, ALONE)


def _need(counter: Counter, copies: int, phases: Mapping[str, Count], split: Split) -> Need:
    """The highest of the phases over what is held all the time; the optimizer's state is there from step 1 on.

    Shards divide weights, gradients and optimizer, but not the start's copy.
    """
    trained = counter.trained if "train" in phases else 0
    weights = counter.weights // split.shards + (copies - 1) * counter.weights
    gradients, optimizer = FLOAT * trained // split.shards, ADAM * trained // split.shards
    if split.shards > 1:  # one layer at a time is whole, of which the head is the largest
        head = counter.model.get_output_embeddings().weight.numel() * FLOAT
        phases = {name: replace(phase, peak=phase.forward + 2 * head) for name, phase in phases.items()}
    when = max(phases, key=lambda name: phases[name].peak)
    return Need(
        weights=weights,
        gradients=gradients,
        optimizer=optimizer,
        activations=max(phase.forward for phase in phases.values()),
        cache=split.reserved or max(phase.cache for phase in phases.values()),
        peak=weights + optimizer + max(phases[when].peak, gradients) + split.reserved,
        when=when,
    )
