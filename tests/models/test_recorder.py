"""The recorder of a generation's own forwards. Legend: B completions, S steps."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from coherence.models import scoring
from coherence.models.load import load_model, prompt_ids


@pytest.mark.parametrize("steps_held", [0, 1, 3, 1000])
def test_statistics_do_not_depend_on_how_many_steps_are_held(
    tiny: SimpleNamespace, tuned: Path, monkeypatch: pytest.MonkeyPatch, steps_held: int
) -> None:
    model, size, pad = load_model(tuned, "cpu"), len(tiny.tokenizer), tiny.tokenizer.pad_token_id
    prompts = [prompt_ids(tiny.tokenizer, row["prompt"]) for row in tiny.rows["heldout"][:4]]
    ids_BT, mask_BT = scoring.left_pad(prompts, pad, model.device)
    monkeypatch.setattr(scoring, "HELD", steps_held * len(prompts) * size)
    torch.manual_seed(0)
    calls: list[int] = []
    count = scoring.token_statistics
    monkeypatch.setattr(scoring, "token_statistics", lambda *a, **k: calls.append(1) or count(*a, **k))
    with scoring.GenerationRecorder(model, size) as recorder:
        out_BT = model.generate(ids_BT, attention_mask=mask_BT, do_sample=True, max_new_tokens=10, min_new_tokens=10)
    completions = [row[ids_BT.shape[1] :].tolist()[: 10 - i] for i, row in enumerate(out_BT)]
    logps, entropies = recorder.statistics(completions)
    assert len(calls) == -(-10 // max(1, steps_held))
    scored = scoring.score_completions(model, pad, prompts, completions, size)
    for got, expected in zip((logps, entropies), scored[:2], strict=True):
        for row, exact in zip(got, expected, strict=True):
            np.testing.assert_allclose(row, exact, atol=2e-5)
