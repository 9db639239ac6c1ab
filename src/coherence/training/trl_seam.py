"""The one file that touches private methods of TRL's GRPOTrainer (pinned; its contract test fails on another TRL).

TRL's rewards see neither log-probabilities nor entropies, and the usual way around it is one more forward per
completion. Here they come out of TRL's own batched scoring pass: the pass that yields old_per_token_logps is asked for
its entropies too, and where TRL would skip that pass (aligned on-policy steps) it is made to run once. No tensor is
built twice, no logits are ever held, and rewards stay pure functions of what they are given.
Suffixes: _BC completion x token, _BR completion x reward function.
"""

from dataclasses import dataclass
from typing import Any

import torch
from transformers import PreTrainedModel
from trl import GRPOTrainer
from trl.trainer.utils import add_fused_lm_head


@dataclass(frozen=True)
class Rollouts:
    """One generation batch: B completions, group after group, each with one number per sampled token."""

    step: int
    rows: list[dict[str, Any]]
    completions: list[str]
    completion_ids: list[list[int]]
    token_logps: list[list[float]]
    token_entropies: list[list[float]]
    start_logps: list[list[float]]
    """The same tokens under the model that the run started from; empty lists where none was given."""
    rewards_BR: torch.Tensor


class TokenStatisticsMixin(GRPOTrainer):  # type: ignore[misc]
    """Gives every reward function `token_logps` and `token_entropies` (nats): per completion, one number per token.

    They belong to the sampled ids given their prompt, under the policy that sampled them, at the sampling temperature.
    `start_model`, where set, scores the same batch in one more no-grad pass.
    """

    start_model: PreTrainedModel | None = None
    _scoring: bool = False
    _statistics_BC: tuple[torch.Tensor, ...] | None = None

    def set_start_model(self, model: PreTrainedModel) -> None:
        """Score every batch under `model` as well (frozen; it gets TRL's fused head)."""
        add_fused_lm_head(model, temperature=self.temperature)
        self.start_model = model.eval().requires_grad_(False)

    def observe_rollouts(self, rollouts: Rollouts) -> dict[str, float]:
        """Called once per generation batch, after the rewards; what it returns is logged. Nothing by default."""
        return {}

    def _generate_and_score_completions(self, inputs: Any) -> Any:
        steps, every = self.args.gradient_accumulation_steps, self.args.steps_per_generation
        iterations: int = self.num_iterations  # type: ignore[has-type]
        self._scoring, self._statistics_BC = True, None
        try:
            if steps % (every * iterations) == 0:
                self.num_iterations = steps // every + 1  # not a divisor: TRL then scores the batch itself
            return super()._generate_and_score_completions(inputs)
        finally:
            self.num_iterations = iterations
            self._scoring = False

    def _get_per_token_logps_and_entropies(self, model: Any, *args: Any, **kwargs: Any) -> Any:
        wanted = self._scoring and self._statistics_BC is None and model is self.model
        if not wanted:
            return super()._get_per_token_logps_and_entropies(model, *args, **kwargs)
        out = super()._get_per_token_logps_and_entropies(model, *args, **(kwargs | {"compute_entropy": True}))
        scored = [out[0], out[1]]
        if self.start_model is not None:
            scored.append(super()._get_per_token_logps_and_entropies(self.start_model, *args, **kwargs)[0])
        self._statistics_BC = tuple(part.detach().float().cpu() for part in scored)
        return out

    def _calculate_rewards(self, inputs: Any, prompts: Any, completions: Any, completion_ids_list: Any) -> Any:
        if self._statistics_BC is None:
            raise RuntimeError("TRL ran no scoring pass before the rewards: this TRL is not the one that is pinned")
        lengths = [len(ids) for ids in completion_ids_list]
        # beyond a completion's length TRL's statistics are zeros, which would read as certainty
        ragged = [[row[:n].tolist() for row, n in zip(part, lengths, strict=True)] for part in self._statistics_BC]
        logps, entropies = ragged[0], ragged[1]
        start = ragged[2] if len(ragged) > 2 else [[] for _ in lengths]
        rows = [
            {**row, "token_logps": a, "token_entropies": b} for row, a, b in zip(inputs, logps, entropies, strict=True)
        ]
        rewards_BR = super()._calculate_rewards(rows, prompts, completions, completion_ids_list)
        rollouts = Rollouts(
            self.state.global_step + 1, rows, completions, completion_ids_list, logps, entropies, start, rewards_BR
        )
        for name, value in self.observe_rollouts(rollouts).items():
            self._log_metric(name, value)
        # TRL adds up what is there; a completion that lacks one reward would be paid 0 for it, so it is paid nothing
        return rewards_BR.masked_fill(rewards_BR.isnan().any(dim=1, keepdim=True), torch.nan)
