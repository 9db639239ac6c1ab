"""Prepare the data set of a study's task."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from coherence.config.data import settings
from coherence.config.resolved import data_files, read_resolved
from coherence.console import label, progress, run_cli
from coherence.provenance.artifact import Artifact


def main(config: Path, base: Path, out: Path) -> None:
    """Write data.parquet (rows of all splits) and report.json (kept, dropped and why) into a folder.

    Args:
        config: results/X/study.json.
        base: the base model's folder; its tokenizer decides which rows fit.
        out: folder of the artifact.
    """
    label("data")
    study = read_resolved(config)
    sources = data_files(study, config.parent)
    artifact = Artifact(
        out=out,
        stage="data",
        cell={},
        script=Path(__file__),
        settings=settings(study),
        inputs={"base": base, **sources},
    )
    if artifact.reuse():
        return
    with artifact.write() as folder:
        artifact.outcome |= prepare(study["data"], base, sources, folder)


def prepare(section: dict[str, Any], base: Path, sources: dict[str, Path], folder: Path) -> dict[str, Any]:
    """Rows that fit, with splits that share nothing, as one table; the report is returned."""
    from transformers import AutoConfig

    from coherence.models.load import check_context, completion_ids, prompt_length, render_prompt
    from coherence.models.vision import load_reader, render_image_prompt
    from coherence.tasks.duplicates import near_duplicates
    from coherence.tasks.rows import Report, Row, check_splits, to_table

    tokenizer, processor = load_reader(base, images=section["task"] == "screens")
    check_context(AutoConfig.from_pretrained(base), section["max_tokens"])
    report = Report()

    def render(instruction: str) -> str:
        return render_image_prompt(processor, instruction) if processor else render_prompt(tokenizer, instruction)

    def count_tokens(row: Row) -> int:
        return prompt_length(tokenizer, vars(row)) + len(completion_ids(tokenizer, row.completion)[0])

    rows = make_rows(section, sources, render, count_tokens, report, processor)
    check_splits(rows, ("sft", "grpo", "heldout"), report)
    report.kept.update(row.split for row in rows)
    if processor is None:  # units of images are checksums, of which none resembles another
        report.near_duplicates = near_duplicates(rows)
    to_table(rows).to_parquet(folder / "data.parquet", index=False)
    (folder / "report.json").write_text(json.dumps(report.to_json(), indent=1) + "\n", encoding="utf-8")
    for what, counts in (("kept", report.kept), ("dropped", report.dropped)):
        progress(f"{what}: " + (", ".join(f"{n} {name}" for name, n in sorted(counts.items()) if n) or "none"))
    progress("near-duplicates of trained units: " + ", ".join(f"{n} {s}" for s, n in report.near_duplicates.items()))
    return report.to_json()


def make_rows(
    section: dict[str, Any],
    sources: dict[str, Path],
    render: Any,
    count_tokens: Any,
    report: Any,
    processor: Any = None,
) -> Any:
    """All rows of the configured task that fit."""
    from coherence.config.data import CodeData, GroundingData, MathsData, PagesData, ScreensData, ToolsData
    from coherence.models.vision import show
    from coherence.streams import generator
    from coherence.tasks.code import rows as code
    from coherence.tasks.grounding import rows as grounding
    from coherence.tasks.maths import rows as maths
    from coherence.tasks.pages import rows as pages
    from coherence.tasks.rows import Row, drop_long
    from coherence.tasks.screens import rows as screens
    from coherence.tasks.tools import rows as tools

    rng = generator(section["seed"], "data", section["task"])
    if section["task"] == "pages":
        return pages.make_rows(PagesData.parse(section, "data"), sources, render, count_tokens, rng, report)
    if section["task"] == "grounding":
        made: Sequence[Row] = list(grounding.make_rows(GroundingData.parse(section, "data"), render, rng))
    elif section["task"] == "maths":
        made = maths.make_rows(MathsData.parse(section, "data"), sources, render, rng, report)
    elif section["task"] == "code":
        made = code.make_rows(CodeData.parse(section, "data"), sources, render, rng, report)
    elif section["task"] == "screens":
        made = screens.make_rows(
            ScreensData.parse(section, "data"),
            sources,
            render,
            lambda prompt, image: len(show(processor, [prompt], [image]).ids[0]),
            rng,
            report,
        )
    else:
        made = tools.make_rows(ToolsData.parse(section, "data"), sources, render, rng, report)
    return drop_long(made, count_tokens, section["max_tokens"], report)


if __name__ == "__main__":
    run_cli(main)
