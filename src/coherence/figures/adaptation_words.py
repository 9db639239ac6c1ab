"""The table of the methods that adapt, and the caption of table and figure."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from coherence.core.coherence_gate import THRESHOLD
from coherence.figures.adaptation import ALWAYS, CALIBRATED, NEW, SIGMA
from coherence.figures.adaptation_figure import NAMES
from coherence.figures.read import Ended, unusual
from coherence.figures.tables import Table
from coherence.figures.words import bootstrapped, mean, seeds

COLUMNS = {
    "strict": ("strict", "", ".2f"),
    "minus control": ("strict_difference", "", "+.3f"),
    "the same, first of their unit": (NEW, "", "+.3f"),
    "NLL answering": ("nll_answering", "", ".3f"),
    "NLL answering minus control": ("nll_answering_difference", "", "+.3f"),
    "NLL after minus control": ("nll_after_difference", "", "+.3f"),
    "Φ": ("phi", "", ".3f"),
    "reward, always acts": ("reward", ALWAYS, "+.2f"),
    "reward, published gate": ("reward", SIGMA, "+.2f"),
    "acts, calibrated": ("acted", CALIBRATED, ".2f"),
    "acts right, calibrated": ("acts_right", CALIBRATED, ".2f"),
    "reward, calibrated": ("reward", CALIBRATED, "+.2f"),
}


def table(data: pd.DataFrame) -> Table:
    """One row per method: answers, the true answer's NLL, and the agent on the second half of the stream."""
    whole = data[data["seed"].isna()]
    rows = [
        [name, *(_cell(whole[whole["method"] == method], *column) for column in COLUMNS.values())]
        for method, name in NAMES.items()
    ]
    return Table(["method", *COLUMNS], rows, ["l", *["r"] * len(COLUMNS)])


def _cell(rows: pd.DataFrame, quantity: str, gate: str, form: str) -> str:
    found = rows[(rows["quantity"] == quantity) & (rows["gate"].fillna("") == gate)]
    if found.empty or found["estimate"].isna().all():
        return "-"
    row = found.iloc[0]
    return f"{row['estimate']:{form}} [{row['low']:{form}}, {row['high']:{form}}]"


def caption(data: pd.DataFrame, answers: pd.DataFrame, runs: Sequence[Ended], settings: Mapping[str, Any]) -> str:
    """What figure and table show, in numbers from the data."""
    options, slot, micro = settings["figure"], settings["adapt"]["slot"], settings["adapt"]["micro"]
    count, prompts = answers["seed"].nunique(), answers.groupby("seed")["id"].nunique().min()
    fell, shown = (fall(answers, method) for method in ("slot", "slot_leaking"))
    acted = data[(data["quantity"] == "acted") & (data["gate"] == SIGMA) & data["seed"].isna()]["estimate"].min()
    return f"""\
**Adaptation at inference, and the gate.** The SFT start of each seed on {prompts} held-out prompts in an order of its
own. SLOT adds a vector to the last hidden state, which {slot["steps"]} steps of Adam (rate {slot["learning_rate"]:g})
find anew for each prompt so that the prompt itself becomes likelier (NLL {fell}); its control is no adaptation, and
the random vector has the same length. With the label seen, the vector lies on a middle layer and makes the true answer
likelier, as in the reference file: where it is fitted, at the positions before the answer, the NLL falls ({shown})
because the answer was shown; to answer, the reference adds it at all positions, which (b) shows; and only the next
prompt, which asks for something else, is a test. LoRA of rank 1 takes one step of Adam
(rate {micro["learning_rate"]:g}) after each answer, on it or on the true one, and keeps what it learned; its control
takes the same steps at rate 0. (a) Strict accuracy and (b) mean NLL of the true answer, each minus the control, prompt
by prompt. Open in (a): only the prompts that are the first of the stream about their unit, whose answer no label has
told before; open in (b): after the step that followed the answer. (c) An agent acts where Φ reaches a threshold: the
published {THRESHOLD:g} (filled; it acts on at least {acted:.0%} of the prompts), or the lowest that on the first half
of the seed's stream had at most {options["target_risk"]:g} wrong (open). On the second half a right act earns 1, a
wrong one costs {options["wrong_cost"]:g}, none is 0. (d) Accuracy of the answers so far, thin for seeds. Bars:
{bootstrapped(options, count)}, thresholds kept; dots: {seeds(count)}.
{unusual(runs, "Crosses, and in every mean")}"""


def fall(answers: pd.DataFrame, method: str) -> str:
    """What a method's own objective does, `10.2000 to 8.1000`, mean over prompts and seeds."""
    rows = answers[answers["method"] == method]
    return " to ".join(mean(rows[f"objective_{when}"], 4) for when in ("before", "after"))
