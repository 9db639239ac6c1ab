"""The numbers of README and docs, as text, from the published data (docs/figures/STUDY) and nothing else."""

import json
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from coherence.figures.alignment import ALIGNED, COMPAT, SHOWN
from coherence.figures.arms import DIFFERENCE, DISTINCT, pick, pooled
from coherence.figures.arms_words import distinct, interval
from coherence.figures.claims import VERDICTS
from coherence.figures.read import tallies
from coherence.figures.style import START, arm_name, arm_order
from coherence.figures.tables import Table, to_markdown
from coherence.figures.words import bootstrapped, seeds, span


def embedded_blocks(folder: Path) -> dict[str, str]:
    """Generated text by the name of its block, from the files that `make publish` has put into `folder`."""
    return {
        "results": f"{results(folder)}\n{findings(folder)}",
        "conventions": conventions(folder),
        "consequences": consequences(folder),
    }


CLAIMS = "claims"
CORRECTED = (
    "Intervals are not corrected for the number of claims, verdicts are (Holm), so an interval that just leaves its"
    " threshold out decides nothing."
)


def claims_blocks(folder: Path) -> dict[str, str]:
    """The ledger's verdicts: `claims` for the README, a line each; `verdicts` and `contrasts` whole, for their page."""
    data = pd.read_parquet(folder / f"{CLAIMS}.parquet")
    counts = ", ".join(f"{n} {name}" for name, n in data["verdict"].value_counts().items())
    by_verdict = data.sort_values("verdict", key=lambda names: names.map(VERDICTS.index), kind="stable")
    rows = [[row["text"], row["verdict"], _measured(row)] for row in by_verdict.to_dict("records")]
    short = to_markdown(Table(["claim", "verdict", "measured [interval] (where it must lie)"], rows, ["l", "l", "l"]))
    whole = {name: (folder / f"{name}.md").read_text(encoding="utf-8") for name in (CLAIMS, "contrasts")}
    said = {name: (folder / f"{name}.caption.md").read_text(encoding="utf-8") for name in whole}
    return {
        "claims": f"{short}\n{len(data)} claims: {counts}. {CORRECTED} Judged anew by {remake(folder, 'claims.md')}\n",
        "verdicts": f"{whole[CLAIMS]}\n{said[CLAIMS]}",
        "contrasts": f"{whole['contrasts']}\n{said['contrasts']}",
    }


def _measured(row: Mapping[Hashable, Any]) -> str:
    """The number with its interval and what it was held against, or why there is none."""
    if pd.isna(row["estimate"]):
        return str(row["why"])
    found, low, high = (f"{row[key]:.3f}" for key in ("estimate", "low", "high"))
    told = f"{found} [{low}, {high}] ({row['comparator']} {row['threshold']:.3g})"
    return told if pd.notna(row["p"]) else f"{told}; {row['why']}"


def study_block(folder: Path) -> str:
    """What a study on real input came to: its rows, the tables of arms and families, and how fine-tuning went."""
    families, caption = (
        (folder / f"{name}.md").read_text(encoding="utf-8") for name in ("families", "sft_phases.caption")
    )
    return "\n".join([kept_rows(folder), results(folder), families, f"{melting(folder)}\n", caption])


def remake(folder: Path, file: str) -> str:
    """The command that makes a figure or table and what it needs."""
    study = folder.name
    configfile = "" if study == "default" else f" --configfile config/{study}.yaml"
    return f"`snakemake --cores 2 figs/{study}/{file}{configfile}`"


def told(folder: Path, name: str) -> dict[str, object]:
    """The figure's own options, from the description inside its PNG."""
    with Image.open(folder / f"{name}.png") as image:
        return dict(json.loads(image.text["Description"])["settings"]["figure"])  # type: ignore[attr-defined]


# ------------------------------------------------------------------------------- README: results


def results(folder: Path) -> str:
    """One row per arm on the held-out split, greedy."""
    data, options = pd.read_parquet(folder / "arms.parquet"), told(folder, "arms")
    reference = str(options["reference"])
    headers = ["arm", "runs", f"strict accuracy [{options['level']:.0%}]", f"minus {reference}", "Φ", "CARL"]
    headers.append("distinct answers")
    own = data[data["seed"].notna()]
    ended = tallies(dict(zip(zip(own["arm"], own["seed"], strict=True), own["status"], strict=True)))
    rows = [_arm(data, arm, ended[arm], reference) for arm in arm_order(data["arm"])]
    note = f"Greedy completions of held-out prompts. {bootstrapped(options, own['seed'].nunique())}."
    table = to_markdown(Table(headers, rows, ["l", "l", *["r"] * (len(headers) - 2)]))
    return f"{table}\n{note} Every number of this table: {remake(folder, 'arms.md')}\n"


def _arm(data: pd.DataFrame, arm: str, ended: str, reference: str) -> list[str]:
    strict, phi, carl = (pooled(data, arm, name) for name in ("strict", "phi", "carl"))
    difference = "reference" if arm == reference else interval(pooled(data, arm, DIFFERENCE), "+.3f")
    means = [f"{values['estimate']:.3f}" for values in (phi, carl)]
    return [arm_name(arm), ended, interval(strict), difference, *means, distinct(data, arm)]


def findings(folder: Path) -> str:
    """What the other figures and tables come to, one line and one command each."""
    sft, checks = pd.read_parquet(folder / "sft_phases.parquet"), pd.read_parquet(folder / "constants.parquet")
    whole = sft[sft["token_class"] == "all"]
    gates = whole.groupby("seed")["gate_step"].first()
    fired = f"{span(gates, 0)} ({gates.notna().sum()} of {seeds(len(gates))})"
    peak = span(whole.groupby("seed")["entropy_share"].max())
    verdicts = ", ".join(f"{verdict} {n}" for verdict, n in Counter(checks["verdict"]).most_common())
    moved = "; ".join(f"{arm} {carl} and {published}" for arm, (_, carl, published) in moves(folder).items())
    rows = [
        ["gate fires at SFT step", fired, "sft_phases.png"],
        ["highest entropy in SFT, share of ln V", peak, "sft_phases.png"],
        ["CARL since the start, aligned and by the reference file", moved, "alignment.md"],
        ["statements on published constants", verdicts, "constants.md"],
    ]
    lines = [f"| {what} | {number} | {remake(folder, file)} |" for what, number, file in rows]
    return "\n".join(["| what | found | made by |", "| --- | --- | --- |", *lines, ""])


MOVED = ("strict", f"carl_{ALIGNED}", f"carl_{COMPAT}")


def moves(folder: Path) -> dict[str, list[str]]:
    """Change of accuracy, of aligned CARL and of CARL by the reference file, from the SFT start to each other arm."""
    means = pd.read_csv(folder / "alignment.csv").set_index("arm")
    change = (means[list(MOVED)] - means.loc[START, list(MOVED)]).round(2) + 0.0  # no -0.00
    arms = [arm for arm in arm_order(map(str, change.index)) if arm != START]
    return {arm_name(arm): [f"{change[name][arm]:+.2f}" for name in MOVED] for arm in arms}


# ------------------------------------------------------------------------------- docs/real_input.md


def kept_rows(folder: Path) -> str:
    """Rows of each split, those left out by reason, and prompts nearly repeated from training."""
    told = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    parts = {
        "Rows": told["kept"],
        "Left out": told["dropped"],
        "Prompts nearly the same as one trained on": told["near_duplicates"],
    }
    counts = {name: ", ".join(f"{what} {n:,}" for what, n in part.items() if n) for name, part in parts.items()}
    return "".join(f"{name}: {text}. " for name, text in counts.items() if text) + "\n"


def melting(folder: Path) -> str:
    """Where the entropy of fine-tuning peaks, per class of tokens: medians over seeds of single steps."""
    data = pd.read_parquet(folder / "sft_phases.parquet")
    rows = []
    for name, own in data.groupby("token_class", sort=False):
        share = own.pivot(index="step", columns="seed", values="entropy_share").dropna()
        first, last = share.iloc[0].median(), share.iloc[-1].median()
        rows.append([str(name), f"{first:.2f}", f"{share.max().median():.2f}", span(share.idxmax(), 0), f"{last:.2f}"])
    headers = ["tokens", "H/ln V at the first step", "highest", "at step", "at the last step"]
    return to_markdown(Table(headers, rows, ["l", "r", "r", "r", "r"]))


# ------------------------------------------------------------------------------- docs/alignment.md


def conventions(folder: Path) -> str:
    """The table of the conventions, and how far each difference moves a mean."""
    table = (folder / "alignment.md").read_text(encoding="utf-8")
    means = pd.read_csv(folder / "alignment.csv").set_index("arm")
    step = {name: means[f"carl_{name}"] - means[f"carl_{start}"] for name, start in _STEPS}
    at = means.loc[START].to_dict()
    lines = [
        f"Mean CARL of the same greedy completions: {remake(folder, 'alignment.md')}",
        f"Tokens, epsilon and rounding together move a mean by at most {step['both'].abs().max():.3f}; leaving out the "
        f"shift moves it by {span(step['prompted'])}, leaving out the prompt by {span(step['shifted'])}.",
        f"At the start cloud quality goes from {at['cloud_quality_both']:.3f} to {at['cloud_quality_prompted']:.3f} "
        f"without the shift, and mean Φ from {at['phi_both']:.2f} to {at['phi_shifted']:.2f} without the prompt.",
    ]
    return "\n".join([table, *lines])


_STEPS = (("both", ALIGNED), ("prompted", "both"), ("shifted", "both"))
"""A convention, and the one that it leaves by one difference."""


def consequences(folder: Path) -> str:
    """What the pairing does to published values, as a list."""
    alignment, arms = (pd.read_parquet(folder / f"{name}.parquet") for name in ("alignment", "arms"))
    points = alignment[alignment["panel"] == "completion"]
    lines = [*_cases(alignment), *_moves(folder), *_collapsed(points, arms), *_judges(alignment), _ties(points)]
    return "\n".join(f"- {line}" for line in lines)


def _cases(alignment: pd.DataFrame) -> Iterator[str]:
    for _, case in alignment[alignment["panel"] == "case"].iterrows():
        published = f"; published: about {case['published']:.2f}" if pd.notna(case["published"]) else ""
        yield (
            f"{str(case['case']).capitalize()}: {case[ALIGNED]:.2f} aligned, {case[COMPAT]:.2f} by the reference file"
            f"{published}."
        )


def _moves(folder: Path) -> Iterator[str]:
    for arm, (strict, carl, compat) in moves(folder).items():
        yield f"From the start to `{arm}`: accuracy {strict}, CARL {carl} aligned and {compat} by the reference file."


def _collapsed(points: pd.DataFrame, arms: pd.DataFrame) -> Iterator[str]:
    """Checkpoints with one greedy answer to everything: both scores, and how many values each takes."""
    counts = pick(arms, DISTINCT)
    single = counts[counts["seed"].notna() & (counts["estimate"] == 1)]
    for arm, seed in zip(single["arm"], single["seed"], strict=True):
        rows = points[(points["arm"] == arm) & (points["seed"] == seed)]
        aligned, compat = (f"{rows[name].mean():.2f} ({rows[name].nunique()} different)" for name in SHOWN)
        yield (
            f"`{arm_name(arm)}` seed {seed} gives one answer to all {len(rows)} prompts. Its CARL: {aligned} aligned, "
            f"{compat} by the reference file."
        )
    if single.empty:
        yield "No checkpoint gives one answer to all prompts."


def _judges(alignment: pd.DataFrame) -> Iterator[str]:
    """For which arms a score tells right from wrong better than chance: the interval of its AUROC is above 1/2."""
    rows = alignment[(alignment["panel"] == "separation") & alignment["seed"].isna()]
    for convention, name in ((ALIGNED, "aligned"), (COMPAT, "reference file's")):
        better = rows[(rows["convention"] == convention) & (rows["low"] > 0.5)]["arm"]
        yield f"The {name} score tells right from wrong, its AUROC's interval above one half, in: {_names(better)}."


def _ties(points: pd.DataFrame) -> str:
    judged = points.groupby(["arm", "seed", COMPAT])["strict"].nunique()
    shared = int((judged > 1).sum())
    return f"{shared} of the reference file's scores are given to a right and to a wrong answer of one checkpoint."


def _names(arms: "pd.Series[str]") -> str:
    names: Sequence[str] = [f"`{arm_name(arm)}`" for arm in arm_order(arms)]
    return ", ".join(names) or "no arm"
