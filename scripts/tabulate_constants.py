"""Table: the published constants, checked."""

from pathlib import Path

from coherence.config.figures import settings
from coherence.config.resolved import read_resolved
from coherence.console import label, progress, run_cli
from coherence.provenance.artifact import Artifact


def main(config: Path, out: Path) -> None:
    """Check every published statement about the constants in exact arithmetic, and tabulate the verdicts.

    Args:
        config: results/X/study.json.
        out: path of the table without suffix; .md, .csv, .tex, .parquet and .caption.md are written.
    """
    label("constants")
    study = read_resolved(config)
    artifact = Artifact(
        out=out,
        stage="figures",
        cell={"name": "constants"},
        script=Path(__file__),
        settings=settings(study, "constants"),
        inputs={},
        stem=True,
    )
    if artifact.reuse():
        return
    from coherence.core.constant_checks import constant_checks
    from coherence.figures.constants import caption, check_rows, table
    from coherence.figures.save import save_caption, save_data, save_table

    checks = constant_checks()
    rows = check_rows(checks)
    with artifact.write() as folder:
        save_table(table(checks), rows, folder, artifact)
        save_data(rows, folder, artifact)
        save_caption(caption(checks), folder, artifact)
    progress(f"{out}.md: {len(checks)} statements, {int((rows['verdict'] != 'holds').sum())} do not hold")


if __name__ == "__main__":
    run_cli(main)
