"""One step of an agent: read the task, predict an answer, judge by Phi whether to act on it. Nothing is executed."""

from dataclasses import dataclass

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from coherence.core.coherence_gate import Confidence, coherence_gate
from coherence.evaluation.generate import complete
from coherence.models.load import context_of, prompt_ids, render_prompt


@dataclass(frozen=True)
class Step:
    """The completion and the gate's decision. phi_mean is over all n_tokens, the end token too; NaN abstains."""

    completion: str
    act: bool
    confidence: Confidence
    phi_mean: float
    n_tokens: int
    ended: bool


def agent_step(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    task: str,
    threshold: float,
    max_new_tokens: int,
    temperature: float,
    seed: int,
) -> Step:
    """Generate (greedy at temperature 0) and gate. Phi is that of evaluation: given the prompt, at temperature 1.

    ValueError for a task that is empty or leaves no room in the model's context.
    """
    prompt, positions = render_prompt(tokenizer, task), context_of(model.config)
    tokens = len(prompt_ids(tokenizer, prompt))
    if not task.strip() or not tokens:
        raise ValueError("--task is empty")
    if tokens + max_new_tokens > positions:
        room = f"the task's {tokens} tokens and {max_new_tokens} new ones are more than its {positions}"
        raise ValueError(f"--max-new-tokens: {room} positions")
    torch.manual_seed(seed)
    request = {"id": "task", "prompt": prompt}, "sampled" if temperature else "greedy", 0
    (said,) = complete(model.eval(), tokenizer, [request], temperature, max_new_tokens, len(tokenizer))
    phi_mean = sum(said["phi"]) / len(said["phi"])
    act, confidence = coherence_gate(phi_mean, threshold)
    text = str(tokenizer.decode(said["ids"], skip_special_tokens=True))
    return Step(text, act, confidence, phi_mean, len(said["ids"]), said["ended"])
