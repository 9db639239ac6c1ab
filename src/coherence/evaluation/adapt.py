"""Answers of a model that adapts to the prompt, or to the stream of prompts, before or after it answers.

`slot` is the published form and sees no label: a vector on the last hidden state that makes the prompt itself likelier.
`slot_leaking` is the reference file's: a vector on a middle layer that makes the true answer likelier, so it has seen
what it is then asked; `slot_leaking_next` answers another prompt with that vector. `micro` learns from its own answers,
`micro_label` from the true answer once it has answered; both first meet each prompt unlearned.

Legend: B prompts of a batch, T tokens, D width.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np
import pandas as pd
import torch
from peft import LoraConfig, get_peft_model
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from coherence.config.adapt import NONE, STILL, AdaptConfig, Micro, Slot
from coherence.console import Ticker
from coherence.evaluation.generate import complete
from coherence.models.load import check_head, completion_ids, is_finite, prompt_ids
from coherence.models.scoring import left_pad, score_completions
from coherence.streams import generator, integer_seed
from coherence.tasks.judge import judge
from coherence.tasks.rewards import STRICT, TASK_REWARDS

Rows = Sequence[Mapping[str, Any]]
PROJECTIONS = ["q_proj", "k_proj", "v_proj", "o_proj"]
IGNORED = -100


class Answerer:
    """A model that answers rows greedily and is asked how likely their true answers are."""

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, max_new_tokens: int) -> None:
        self.model, self.tokenizer, self.max_new_tokens = model.eval(), tokenizer, max_new_tokens
        self.vocab_size = check_head(model, tokenizer)

    def prompts(self, rows: Rows) -> list[list[int]]:
        return [prompt_ids(self.tokenizer, row["prompt"]) for row in rows]

    def targets(self, rows: Rows) -> list[list[int]]:
        return [completion_ids(self.tokenizer, row["completion"])[0] for row in rows]

    def answers(self, rows: Rows) -> list[dict[str, Any]]:
        """Greedy completions with their tokens' statistics, as in evaluation."""
        requests = [(dict(row), "greedy", 0) for row in rows]
        return list(complete(self.model, self.tokenizer, requests, 1.0, self.max_new_tokens, self.vocab_size))

    def nll(self, rows: Rows) -> list[float]:
        """Mean negative log-likelihood (nats per token) of the true answers."""
        prompts, targets, pad = self.prompts(rows), self.targets(rows), self.tokenizer.pad_token_id
        logp, _, _ = score_completions(self.model, pad, prompts, targets, self.vocab_size, len(rows))
        return [-float(np.mean(values)) for values in logp]


def adapt(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Rows,
    config: AdaptConfig,
    task: str,
    max_new_tokens: int,
    seed: int,
) -> pd.DataFrame:
    """One line per method and prompt of the seed's stream: completion, strict, mean Phi, the true answer's mean NLL at
    the start, when it was answered and after what was learned from it. A model that diverged says nothing: no lines.
    """
    order = generator(seed, "adapt").permutation(len(rows))[: config.prompts]
    stream, lines, ask = [rows[i] for i in order], list[dict[str, Any]](), Answerer(model, tokenizer, max_new_tokens)
    if not is_finite(model):
        return pd.DataFrame(columns=["method", "position"])
    model.requires_grad_(False)
    batches = np.array_split(np.arange(len(stream)), max(1, len(stream) // config.batch_size))
    for batch in batches:
        lines += list(fresh(ask, [stream[i] for i in batch], batch.tolist(), config.slot, seed))
    start = {line["id"]: line["nll_answering"] for line in lines if line["method"] == NONE}
    for method in (STILL, "micro", "micro_label"):
        lines += list(carried(ask, stream, method, config.micro, integer_seed(seed, "adapt")))
    table = pd.DataFrame(lines)
    table["nll_start"] = table["id"].map(start)
    answers = {row["id"]: row["answer"] for row in stream}
    reward = TASK_REWARDS[task][STRICT[task]]
    table["strict"] = judge(reward, list(table["completion"]), [answers[name] for name in table["id"]])
    return table


def line(method: str, position: int, row: Mapping[str, Any], said: Mapping[str, Any], **more: float) -> dict[str, Any]:
    told = {"method": method, "position": position, "id": row["id"], "unit": row["unit"], "tokens": len(said["ids"])}
    means = {name: float(np.mean(said[name])) if said["ids"] else np.nan for name in ("phi", "logp")}
    return told | {"completion": said["completion"]} | means | more


# ------------------------------------------------------------------------------- a vector for each prompt


def fresh(ask: Answerer, rows: Rows, positions: Sequence[int], slot: Slot, seed: int) -> Iterator[dict[str, Any]]:
    """The methods that begin anew with each prompt, for a batch of them."""
    head, layers = ask.model.get_output_embeddings(), ask.model.get_decoder().layers
    middle = layers[(len(layers) - 1) // 2]  # in a model of two layers, too, attention comes after it
    own_B1D, fell = find_vector(ask, rows, head, slot)
    leaked_B1D, leaked_fell = find_vector(ask, rows, middle, slot, ask.targets(rows))
    noise_B1D = torch.from_numpy(generator(seed, "adapt", str(positions[0])).standard_normal(own_B1D.shape)).to(own_B1D)
    noise_B1D *= own_B1D.norm(dim=-1, keepdim=True) / noise_B1D.norm(dim=-1, keepdim=True)
    others = {"slot_leaking_next": leaked_B1D[donors([row["unit"] for row in rows])]}
    plain = dict.fromkeys(("objective_before", "objective_after"), [np.nan] * len(rows))
    tries: dict[str, tuple[AbstractContextManager[None], torch.Tensor, dict[str, list[float]]]] = {
        NONE: (nullcontext(), torch.zeros_like(own_B1D), plain),
        "slot": (added(head, own_B1D), own_B1D, fell),
        "slot_random": (added(head, noise_B1D), noise_B1D, plain),
        "slot_leaking": (added(middle, leaked_B1D), leaked_B1D, leaked_fell),
        **{name: (added(middle, vector), vector, plain) for name, vector in others.items()},
    }
    for method, (changed, vector_B1D, objective) in tries.items():
        with changed:
            said, nll = ask.answers(rows), ask.nll(rows)
        norms = vector_B1D.norm(dim=-1).flatten().tolist()
        for i, row in enumerate(rows):
            more = {name: values[i] for name, values in objective.items()} | {"norm": norms[i]}
            yield line(method, positions[i], row, said[i], nll_answering=nll[i], nll_after=nll[i], **more)


def donors(units: Sequence[str]) -> list[int]:
    """For each prompt the one before it, round the batch, that asks for something else."""
    count = len(units)
    turns = [[(i - back) % count for back in range(1, count)] for i in range(count)]
    return [next((j for j in turn if units[j] != units[i]), turn[0]) for i, turn in enumerate(turns)]


def find_vector(
    ask: Answerer, rows: Rows, module: torch.nn.Module, slot: Slot, targets: Sequence[list[int]] | None = None
) -> tuple[torch.Tensor, dict[str, list[float]]]:
    """A vector [B, 1, D] per prompt that lowers the NLL of the prompt, or of a true answer, and that NLL before and
    after. It is added at every position of a prompt; where there is an answer, only before it."""
    prompts, pad = ask.prompts(rows), ask.tokenizer.pad_token_id
    follow = targets or [[] for _ in rows]
    ids_BT, mask_BT = left_pad([a + b for a, b in zip(prompts, follow, strict=True)], pad, ask.model.device)
    lengths_B1 = torch.tensor([[len(target)] for target in follow], device=ids_BT.device)
    is_prompt_BT = torch.arange(ids_BT.shape[1], device=ids_BT.device) < ids_BT.shape[1] - lengths_B1
    labels_BT = ids_BT.masked_fill(is_prompt_BT if targets else mask_BT == 0, IGNORED)
    labels_BT[mask_BT.cumsum(dim=1) == 1] = IGNORED  # the first token is predicted by nothing
    width = ask.model.config.get_text_config().hidden_size
    vector = torch.zeros((len(rows), 1, width), device=ids_BT.device, requires_grad=True)
    adam, seen = torch.optim.Adam([vector], lr=slot.learning_rate), []
    for step in range(slot.steps + 1):
        with added(module, vector, is_prompt_BT[..., None]):
            nll_B = row_nll(ask.model, ids_BT, mask_BT, labels_BT)
        seen.append(nll_B.detach().tolist())
        if step < slot.steps:  # no gradient reaches the model's own parameters
            (vector.grad,) = torch.autograd.grad(nll_B.sum(), vector)
            adam.step()
    return vector.detach(), {"objective_before": seen[0], "objective_after": seen[-1]}


def row_nll(
    model: PreTrainedModel, ids_BT: torch.Tensor, mask_BT: torch.Tensor, labels_BT: torch.Tensor
) -> torch.Tensor:
    """Mean NLL (nats per token) of each row's labels [B]."""
    positions = (mask_BT.cumsum(dim=1) - 1).clamp(min=0)
    logits = model(input_ids=ids_BT, attention_mask=mask_BT, position_ids=positions).logits[:, :-1].float()
    told = labels_BT[:, 1:]
    nll_BT = cross_entropy(logits.flatten(0, 1), told.flatten(), reduction="none", ignore_index=IGNORED)
    return nll_BT.view_as(told).sum(dim=1) / (told != IGNORED).sum(dim=1).clamp(min=1)


@contextmanager
def added(module: torch.nn.Module, vector_B1D: torch.Tensor, where_BT1: torch.Tensor | None = None) -> Iterator[None]:
    """The vector is added to what the head is given, or to what a layer gives (a tensor, or the first of a tuple)."""

    def plus(hidden_BTD: torch.Tensor) -> torch.Tensor:
        return hidden_BTD + (vector_B1D if where_BT1 is None else vector_B1D * where_BT1[:, -hidden_BTD.shape[1] :])

    def before(module: Any, args: Any) -> Any:
        return (plus(args[0]), *args[1:])

    def after(module: Any, args: Any, output: Any) -> Any:
        return plus(output) if isinstance(output, torch.Tensor) else (plus(output[0]), *output[1:])

    is_head = isinstance(module, torch.nn.Linear)
    handle = module.register_forward_pre_hook(before) if is_head else module.register_forward_hook(after)
    try:
        yield
    finally:
        handle.remove()


# ------------------------------------------------------------------------------- one step after each answer


def carried(ask: Answerer, stream: Rows, method: str, micro: Micro, seed: int) -> Iterator[dict[str, Any]]:
    """Answer, then one step of Adam on the answer (`micro`), on the true one (`micro_label`) or on nothing
    (`micro_still`: the rate is 0); adapters and Adam's moments are kept for the next prompt."""
    torch.manual_seed(seed)
    adapters = LoraConfig(r=1, lora_alpha=1, lora_dropout=0.0, target_modules=PROJECTIONS, task_type="CAUSAL_LM")
    wrapped = get_peft_model(ask.model, adapters)  # in place: ask.model has the adapters now
    trained = [weight for weight in ask.model.parameters() if weight.requires_grad]
    adam, ticker = torch.optim.Adam(trained, lr=0.0 if method == STILL else micro.learning_rate), Ticker()
    for position, row in enumerate(stream):
        (said,), (nll,) = ask.answers([row]), ask.nll([row])
        loss = learn(ask, row, ask.targets([row])[0] if method == "micro_label" else said["ids"], adam)
        (after,) = ask.nll([row])
        yield line(method, position, row, said, nll_answering=nll, nll_after=after, objective_before=loss)
        ticker(position + 1, len(stream), f"prompts with {method}")
    wrapped.unload()


def learn(ask: Answerer, row: Mapping[str, Any], answer: list[int], adam: torch.optim.Optimizer) -> float:
    """One step on the mean NLL of an answer, which is returned; of an empty one there is nothing to learn."""
    if not answer:
        return np.nan
    (prompt,) = ask.prompts([row])
    ids_BT = torch.tensor([prompt + answer], device=ask.model.device)
    labels_BT = torch.tensor([[IGNORED] * len(prompt) + answer], device=ask.model.device)
    loss = row_nll(ask.model, ids_BT, torch.ones_like(ids_BT), labels_BT)[0]
    trained = adam.param_groups[0]["params"]
    for weight, gradient in zip(trained, torch.autograd.grad(loss, trained), strict=True):
        weight.grad = gradient
    adam.step()
    return float(loss.detach())
