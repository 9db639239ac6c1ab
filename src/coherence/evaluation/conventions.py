"""Stored completions under the reference file's scoring, beside the aligned one, and its conventions one by one.

`compat` scores the text alone and pairs logits[t] with token t. `shifted` pairs them with token t+1, `prompted` puts
the prompt before the text, `both` does both: all three keep the reference's arithmetic and its tokens.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from coherence.core.compat import text_reward
from coherence.core.composite import CompositeWeights
from coherence.models.load import prompt_ids
from coherence.models.vision import Shown

ALIGNED = "aligned"
BY_TEXT, BY_PROMPT = ("compat", "shifted"), ("prompted", "both")
CONVENTIONS = (ALIGNED, *BY_PROMPT[::-1], *BY_TEXT[::-1])
TERMS = {"multiscale": "multiscale", "cloud_quality": "cloud_quality", "discontinuity": "discontinuity"}
PARTS = {**TERMS, "phi": "phi_mean"}
"""Columns of the table of scores, and what the reference calls the same."""

Forward = Callable[[tuple[int, ...]], npt.NDArray[Any]]
Values = dict[str, float]


class Reading(NamedTuple):
    """How tokens are scored: what precedes them, and whether logits are paired with the next token (1) or not (0)."""

    before: tuple[int, ...]
    tokens: list[int]
    shift: int


def rescore(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    generations: pd.DataFrame,
    scores: pd.DataFrame,
    prompts: Mapping[str, str],
    shown: Callable[[str], Shown] | None = None,
) -> pd.DataFrame:
    """One row per greedy completion of a checkpoint: CARL and its parts under each convention, as PART_CONVENTION.

    `scores` has the aligned ones, which are weighted as published here. Texts are decoded without special tokens, as
    TRL hands them to a reward. `shown` gives a row's prompt with its image, where the task shows any. ValueError for a
    completion without a score.
    """
    greedy = generations[generations["mode"] == "greedy"].set_index("id")
    known = scores[scores["mode"] == "greedy"].set_index("id")
    if missing := set(greedy.index) - set(known.index):
        raise ValueError(f"no scores of the completion of row '{min(missing)}': score the same generations")
    model.eval()
    texts = [str(tokenizer.decode(list(ids), skip_special_tokens=True)) for ids in greedy["ids"]]
    if shown is None:
        asked = [tuple(prompt_ids(tokenizer, prompts[name])) for name in greedy.index]
        found = by_convention(tokenizer, model_forward(model), asked, texts)
    else:
        seen = map(shown, greedy.index)
        found = chain.from_iterable(
            by_convention(tokenizer, model_forward(model, one), [tuple(one.ids[0])], [text])
            for one, text in zip(seen, texts, strict=True)
        )
    table = known.loc[greedy.index, ["arm", "seed", "unit", "strict", "tokens"]].reset_index()
    table["text"] = texts
    table["same_tokens"] = list(map(_same_tokens(tokenizer), texts, greedy["ids"]))
    aligned = pd.DataFrame(_aligned(known.loc[greedy.index])).reset_index(drop=True)
    return pd.concat([table, aligned, pd.DataFrame(list(found))], axis=1)


def _aligned(scores: pd.DataFrame) -> "dict[str, pd.Series[float]]":
    weights = CompositeWeights()
    carl = sum(getattr(weights, name) * scores[name] for name in TERMS)
    return {f"carl_{ALIGNED}": carl, **{f"{name}_{ALIGNED}": scores[name] for name in PARTS}}


def _same_tokens(tokenizer: PreTrainedTokenizerBase) -> Callable[[str, Any], bool]:
    """Whether encoding the text again gives the tokens that were generated, the end token aside."""
    special = set(tokenizer.all_special_ids)
    return lambda text, ids: encode(tokenizer, text) == [int(i) for i in ids if int(i) not in special]


def encode(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """A text's own ids, without start token."""
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def model_forward(model: PreTrainedModel, shown: Shown | None = None) -> Forward:
    """ids [T] -> logits [T, V] in float32, one sequence at a time, as the reference does; the last ones are kept. With
    the prompt of `shown` in front, its image is seen."""

    @lru_cache(maxsize=1)
    def forward(ids: tuple[int, ...]) -> npt.NDArray[Any]:
        sees = shown is not None and list(ids[: len(shown.ids[0])]) == shown.ids[0]
        beside = shown.inputs([0], len(ids), model.device) if shown and sees else {}
        with torch.no_grad():
            logits_TV: npt.NDArray[Any] = (
                model(torch.tensor([ids], device=model.device), **beside).logits[0].float().cpu().numpy()
            )
        return logits_TV

    return forward


def by_convention(
    tokenizer: PreTrainedTokenizerBase, forward: Forward, prompts: Sequence[tuple[int, ...]], texts: Sequence[str]
) -> Iterator[Values]:
    """CARL and its parts of each text by every convention but the aligned one; equal texts are computed once."""

    @cache
    def alone(text: str) -> Values:
        ids = list(tokenizer(text)["input_ids"])
        return _both(text, forward, BY_TEXT, Reading((), ids, 0), Reading(tuple(ids[:1]), ids[1:], 1))

    @cache
    def after(before: tuple[int, ...], text: str) -> Values:
        ids = encode(tokenizer, text)
        return _both(text, forward, BY_PROMPT, Reading(before, ids, 0), Reading(before, ids, 1))

    return ({**alone(text), **after(prompt, text)} for prompt, text in zip(prompts, texts, strict=True))


def _both(text: str, forward: Forward, names: Sequence[str], *readings: Reading) -> Values:
    return {
        key: value
        for name, reading in zip(names, readings, strict=True)
        for key, value in _scored(text, forward, name, reading).items()
    }


def _scored(text: str, forward: Forward, name: str, reading: Reading) -> Values:
    def logits(ids: Sequence[int]) -> npt.NDArray[Any]:
        first = len(reading.before) - reading.shift
        return forward((*reading.before, *ids))[first : first + len(ids)]

    reward, parts = text_reward(text, lambda _: reading.tokens, logits)
    return {
        f"carl_{name}": reward,
        **{f"{part}_{name}": parts.get(key, np.nan) for part, key in PARTS.items()},
    }
