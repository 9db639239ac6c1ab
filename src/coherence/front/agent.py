"""One step of an agent: read the task, predict an answer, judge by Phi whether to act on it. Nothing is executed."""

from dataclasses import dataclass

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from coherence.core.coherence_gate import Confidence, coherence_gate
from coherence.core.order_parameter import phi_from_entropy
from coherence.evaluation.generate import until_end
from coherence.front.pretrained import context_of
from coherence.models.load import prompt_ids, render_prompt
from coherence.models.scoring import GenerationRecorder


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
    """Generate (greedy at temperature 0) and gate. Phi comes from the generation's own forwards, at temperature 1.

    ValueError for a task that is empty or leaves no room in the model's context.
    """
    ids = prompt_ids(tokenizer, render_prompt(tokenizer, task))
    if not task.strip() or not ids:
        raise ValueError("--task is empty")
    if len(ids) + max_new_tokens > context_of(model):
        room = f"the task's {len(ids)} tokens and {max_new_tokens} new ones are more than its {context_of(model)}"
        raise ValueError(f"--max-new-tokens: {room} positions")
    said, entropies = _generate(model.eval(), tokenizer, ids, max_new_tokens, temperature, seed)
    phi_mean = float(phi_from_entropy(sum(entropies) / len(entropies), len(tokenizer)))
    act, confidence = coherence_gate(phi_mean, threshold)
    text = str(tokenizer.decode(said, skip_special_tokens=True))
    return Step(text, act, confidence, phi_mean, len(said), said[-1] == tokenizer.eos_token_id)


def _generate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    ids: list[int],
    max_new_tokens: int,
    temperature: float,
    seed: int,
) -> tuple[list[int], list[float]]:
    """The new ids, and the entropy (nats) of the distribution that predicted each."""
    torch.manual_seed(seed)
    sampling = {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0}
    prompt_BT = torch.tensor([ids], device=model.device)
    with torch.no_grad(), GenerationRecorder(model, len(tokenizer)) as recorder:
        out_BT = model.generate(
            input_ids=prompt_BT,
            attention_mask=torch.ones_like(prompt_BT),
            max_new_tokens=max_new_tokens,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            remove_invalid_values=True,
            **(sampling if temperature else {"do_sample": False}),
        )
    said = until_end(out_BT[0, len(ids) :].tolist(), tokenizer.eos_token_id)
    return said, recorder.statistics([said])[1][0]
