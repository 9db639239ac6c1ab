"""Low-rank adapters. They change what SFT and GRPO train, so they are part of what those runs are."""

from pydantic import Field

from coherence.config.strict import Strict


class Lora(Strict):
    """Adapters on every linear layer but the head, trained in place of the weights and merged into them at the end."""

    r: int = Field(ge=1)
    """Rank."""
    alpha: int = Field(ge=1)
    """The adapters' product is scaled by alpha / r."""
