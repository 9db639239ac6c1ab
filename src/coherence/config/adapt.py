"""Stage `adapt`: what a checkpoint learns while it answers, prompt by prompt. A study may have it."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from coherence.config.compute import in_one_process
from coherence.config.strict import Strict

NONE, STILL = "none", "micro_still"
CONTROLS = {
    "slot": NONE,
    "slot_random": NONE,
    "slot_leaking": NONE,
    "slot_leaking_next": NONE,
    "micro": STILL,
    "micro_label": STILL,
}
"""Every method and what it is compared with, prompt by prompt."""
METHODS = (NONE, "slot", "slot_random", "slot_leaking", "slot_leaking_next", STILL, "micro", "micro_label")


class Slot(Strict):
    """A vector added to hidden states, found anew for each prompt by Adam."""

    steps: int = Field(ge=1)
    learning_rate: float = Field(gt=0)


class Micro(Strict):
    """Adapters of rank 1 on the attention's projections: one step of Adam after each answer, kept for the next."""

    learning_rate: float = Field(gt=0)


class AdaptConfig(Strict):
    """The SFT start of each seed on a stream of held-out prompts."""

    prompts: int = Field(ge=4)
    """Of the stream, at most; drawn and put in order per seed."""
    batch_size: int = Field(ge=2, le=32)
    """Prompts at a time, at least, of the methods that begin anew with each prompt."""
    slot: Slot
    micro: Micro


def settings(study: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """What decides the answers of one seed's stream. ValueError where the study has no such section."""
    if not study.get("adapt"):
        raise ValueError("this study has no section adapt")
    return {
        "adapt": study["adapt"],
        "task": study["data"]["task"],
        "max_new_tokens": study["evaluate"]["max_new_tokens"],
        "compute": in_one_process(study),
        "seed": seed,
    }
