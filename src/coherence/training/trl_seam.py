"""The one file that touches private methods of TRL's GRPOTrainer (pinned; its contract test fails on another TRL).

TRL's rewards see neither log-probabilities nor entropies, and the usual way around it is one more forward per
completion. Here they come from forwards that are made anyway, and rewards stay pure functions of what they are given:

- `scoring`: TRL's own pass for old_per_token_logps, where it makes one, is asked for its entropies too;
- `generation`: otherwise a recorder reads the logits of Hugging Face's generate, untempered, step by step;
- `extra pass`: where neither is there (vLLM without its correction, tools), TRL is made to run its pass once.

The first that applies is taken; a user can name one. Whatever the source, the statistics are those of the untempered
distribution over the tokenizer's tokens: at another sampling temperature, or with a padded head, a pass reads them from
the hidden states that it computes anyway.
Suffixes: _BC completion x token, _BCD also x width, _BR completion x reward function.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import torch
from accelerate.utils import gather_object, send_to_device
from torch.distributed.tensor import DTensor
from transformers import PreTrainedModel
from trl import GRPOTrainer

from coherence.core.order_parameter import hidden_statistics
from coherence.models.load import causal_lm
from coherence.models.scoring import GenerationRecorder, Ragged, score_completions
from coherence.models.vision import Shown, show

Source = Literal["scoring", "generation", "extra pass"]


@dataclass(frozen=True)
class Rollouts:
    """One generation batch: B completions, group after group, each with one number per sampled token.

    With several processes it is the whole batch on each of them, so that they log, count and decide alike.
    """

    step: int
    rows: list[dict[str, Any]]
    completions: list[str]
    completion_ids: list[list[int]]
    token_logps: Ragged
    token_entropies: Ragged
    start_logps: Ragged
    """The same tokens under the model that the run started from; empty lists where none was given."""
    rewards_BR: torch.Tensor


class TokenStatisticsMixin(GRPOTrainer):  # type: ignore[misc]
    """Gives every reward function `token_logps` and `token_entropies` (nats): per completion, one number per token.

    They belong to the sampled ids given their prompt, under the policy that sampled them, at temperature 1.
    `source` may be named; `start_model`, where set, scores the same completions in one more no-grad pass, for which
    rows with an image have the rendered prompt as `text`; so does the model under adapters.
    """

    source: Source | None = None
    start_model: PreTrainedModel | None = None
    _prompt_ids: list[list[int]]
    _statistics: tuple[Ragged, Ragged] | None = None
    _scoring: bool = False
    _passes: int = 0

    def observe_rollouts(self, rollouts: Rollouts) -> dict[str, float]:
        """Called once per generation batch, after the rewards; what it returns is logged. Nothing by default."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """What TRL remembers between optimizer steps: its place in the prompts, and a batch that is used again."""
        step, every = self._step, self.args.steps_per_generation * self.num_iterations
        return {
            "step": step,
            "passes": int(self.state.epoch),
            "batch": self._buffered_inputs if step % every else None,
            "entropy": (self.entropy_coef, self._last_world_entropy),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._step, self._passes = state["step"], state["passes"]
        self.entropy_coef, self._last_world_entropy = state["entropy"]
        self._buffered_inputs = send_to_device(state["batch"], self.accelerator.device)

    def _get_train_sampler(self, dataset: Any = None) -> Any:
        sampler = super()._get_train_sampler(dataset)
        for _ in range(self._passes):  # each pass over the prompts draws its order from the sampler's own generator
            next(iter(sampler))
        return sampler

    def statistics_source(self) -> Source:
        """Where the statistics come from: the named source, or the first that costs nothing."""
        if self.source is not None:
            return self.source
        if self._trl_scores():
            return "scoring"
        plain = not (self.use_vllm or self.use_transformers_continuous_batching or self.tools or self.rollout_func)
        return "generation" if plain else "extra pass"

    def _trl_scores(self) -> bool:
        every = self.args.steps_per_generation * self.num_iterations
        misaligned = self.args.gradient_accumulation_steps % every != 0
        return bool(misaligned or (self.use_vllm and self.vllm_importance_sampling_correction))

    def _generate_and_score_completions(self, inputs: Any) -> Any:
        iterations: int = self.num_iterations  # type: ignore[has-type]
        self._statistics, self._scoring = None, self.statistics_source() != "generation"
        try:
            if self._scoring and not self._trl_scores():
                # not a divisor of the accumulation steps: TRL then scores the batch itself
                self.num_iterations = self.args.gradient_accumulation_steps // self.args.steps_per_generation + 1
            return super()._generate_and_score_completions(inputs)
        finally:
            self.num_iterations = iterations
            self._scoring = False

    def _generate_single_turn(self, prompt_ids: Any, *args: Any, **kwargs: Any) -> Any:
        self._prompt_ids = prompt_ids
        if self.is_fsdp_enabled:  # then generate goes on with every process until the last has finished
            causal_lm(self.model)._is_fsdp_managed_module = True
        if self._scoring:
            return super()._generate_single_turn(prompt_ids, *args, **kwargs)
        # adapters: their generate goes past the forward that accelerate has put autocast on
        with self.accelerator.autocast(), GenerationRecorder(causal_lm(self.model), len(self._tokenizer)) as recorder:
            out = super()._generate_single_turn(prompt_ids, *args, **kwargs)
        self._statistics = recorder.statistics(out[0])
        return out

    def _get_per_token_logps_and_entropies(
        self, model: Any, input_ids: Any, attention_mask: Any, logits_to_keep: int, *args: Any, **kwargs: Any
    ) -> Any:
        rest = (input_ids, attention_mask, logits_to_keep, *args)
        own = causal_lm(model)
        text_only = self.model.config.get_text_config() is self.model.config  # others place their images themselves
        with counted_positions(own) if text_only else nullcontext():
            if not (self._scoring and self._statistics is None and model is self.model):
                return super()._get_per_token_logps_and_entropies(model, *rest, **kwargs)
            with hidden_states(own) as hidden:
                out = super()._get_per_token_logps_and_entropies(model, *rest, **(kwargs | {"compute_entropy": True}))
        logp_BC, entropy_BC = out[0], out[1]
        if self.temperature != 1.0 or own.get_output_embeddings().weight.shape[0] != len(self._tokenizer):
            hidden_BCD = torch.cat(hidden)[:, -logits_to_keep - 1 : -1]
            logp_BC, entropy_BC = self._untempered(own, hidden_BCD, input_ids[:, -logits_to_keep:])
        # beyond a completion's length TRL's statistics are zeros, which would read as certainty
        lengths = attention_mask[:, -logits_to_keep:].sum(dim=1).tolist()
        parts = (part.detach().double().cpu() for part in (logp_BC, entropy_BC))
        logp, entropy = ([row[:n].tolist() for row, n in zip(part, lengths, strict=True)] for part in parts)
        self._statistics = logp, entropy
        return out

    @cached_property
    def _transform(self) -> Callable[[torch.Tensor], torch.Tensor]:
        return logit_transform(self.model)

    def _untempered(
        self, model: Any, hidden_BCD: torch.Tensor, ids_BC: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """logp and entropy at temperature 1 over the tokenizer's tokens; the logits are never held."""
        (weight, bias), size = whole_head(model), len(self._tokenizer)
        known = ids_BC.clamp(max=size - 1)
        statistics = hidden_statistics(hidden_BCD, weight, known, bias=bias, vocab_size=size, transform=self._transform)
        outside = (ids_BC >= size) & (ids_BC != self._tokenizer.pad_token_id)
        return statistics.logp.masked_fill(outside, torch.nan), statistics.entropy.masked_fill(outside, torch.nan)

    def _calculate_rewards(self, inputs: Any, prompts: Any, completions: Any, completion_ids_list: Any) -> Any:
        if self._statistics is None:
            raise RuntimeError("no statistics before the rewards: this TRL is not the one that is pinned")
        logps, entropies = self._statistics
        rows = [
            {**row, "token_logps": a, "token_entropies": b} for row, a, b in zip(inputs, logps, entropies, strict=True)
        ]
        rewards_BR = super()._calculate_rewards(rows, prompts, completions, completion_ids_list)
        start = self._start_logps(inputs, completion_ids_list)
        if not isinstance(completions[0], str):  # messages, as TRL has them where prompts show images
            completions = self._tokenizer.batch_decode(completion_ids_list, skip_special_tokens=True)
        told = [{name: value for name, value in row.items() if name != "image"} for row in rows]
        local = (told, completions, completion_ids_list, logps, entropies, start)
        everyone: list[Any] = [*map(gather_object, local), rewards_BR]  # TRL gathers the rewards in the same order
        rollouts = Rollouts(self.state.global_step + 1, *everyone)
        for name, value in self.observe_rollouts(rollouts).items():
            self._log_metric(name, value)
        # TRL adds up what is there; a completion that lacks one reward would be paid 0 for it, so it is paid nothing
        return rewards_BR.masked_fill(rewards_BR.isnan().any(dim=1, keepdim=True), torch.nan)

    def _start_logps(self, inputs: list[dict[str, Any]], completions: list[list[int]]) -> Ragged:
        adapted = hasattr(self.model, "disable_adapter")
        if self.start_model is None and not adapted:
            return [[] for _ in completions]

        def shown(rows: slice) -> Shown:
            part = inputs[rows]
            return show(self.processing_class, [row["text"] for row in part], [row["image"] for row in part])

        pad, size, rows = self._tokenizer.pad_token_id, len(self._tokenizer), self.args.per_device_train_batch_size
        start, see = self.start_model or self.model, shown if "image" in inputs[0] else None
        with self.accelerator.autocast(), self.model.disable_adapter() if adapted else nullcontext():
            return score_completions(start, pad, self._prompt_ids, completions, size, rows, see)[0]


@contextmanager
def hidden_states(model: PreTrainedModel) -> Iterator[list[torch.Tensor]]:
    """The last hidden states [B, T, D] of every forward of the model's backbone inside the block."""
    seen: list[torch.Tensor] = []
    handle = model.base_model.register_forward_hook(lambda module, args, out: seen.append(out.last_hidden_state))
    try:
        yield seen
    finally:
        handle.remove()


def whole_head(model: PreTrainedModel) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Weight and bias of the head, gathered where processes hold parts of them."""
    head = model.get_output_embeddings()
    weight, bias = (part.full_tensor() if isinstance(part, DTensor) else part for part in (head.weight, head.bias))
    return weight, bias


def logit_transform(model: PreTrainedModel) -> Callable[[torch.Tensor], torch.Tensor]:
    """What the model does to logits after its head: a scale (Cohere, Granite), then a softcap (Gemma), if any.

    Read from the config's fields and held against the model's own logits of a few tokens; ValueError where they differ.
    """
    config = model.config.get_text_config().to_dict()
    factors = [config.get(name) for name in ("logit_scale", "output_multiplier", "lm_head_multiplier")]
    scale = math.prod(f for f in factors if f is not None) / (config.get("logits_scaling") or 1.0)
    cap = config.get("final_logit_softcapping")

    def transform(logits: torch.Tensor) -> torch.Tensor:
        return logits.mul_(scale) if cap is None else logits.mul_(scale / cap).tanh_().mul_(cap)

    with torch.no_grad(), hidden_states(causal_lm(model)) as hidden:
        own = model(input_ids=torch.arange(4, device=model.device)[None]).logits  # of one alone, a pad's may be zeros
        weight, bias = whole_head(causal_lm(model))
        found = transform(torch.nn.functional.linear(hidden[0].to(weight.dtype), weight, bias))
    if (found - own).abs().max() > 0.02 * own.abs().max():
        raise ValueError("this model's logits are not those of its head: use temperature 1 and an unpadded head")
    return transform


@contextmanager
def counted_positions(model: torch.nn.Module) -> Iterator[None]:
    """Forwards of `model` inside the block count positions from each row's first real token, as generate does.

    TRL's counts the padding on the left too: learned absolute positions (GPT-2) then give another distribution.
    """

    def count(module: Any, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        return args, kwargs | {"position_ids": (kwargs["attention_mask"].cumsum(dim=1) - 1).clamp(min=0)}

    handle = model.register_forward_pre_hook(count, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()
