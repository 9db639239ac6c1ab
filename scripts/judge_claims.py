"""Figure and table: the verdict on every claim."""

from pathlib import Path

from coherence.console import progress, run_cli
from coherence.figures.begin import begin


def main(config: Path, figures: list[Path], out: Path) -> None:
    """Judge the study's claims from the data of its other figures.

    Args:
        config: results/X/study.json.
        figures: the figures and tables that claims name, as paths without suffix.
        out: path without suffix; .png, .svg, .pdf, .md, .csv, .tex, .parquet and .caption.md are written.
    """
    artifact = begin("claims", __file__, config, out, {stem.name: stem for stem in figures})
    if artifact.reuse():
        return
    import pandas as pd

    from coherence.config.claims import Claim
    from coherence.figures.claims import judge
    from coherence.figures.claims_figure import draw
    from coherence.figures.claims_words import caption, table
    from coherence.figures.save import save

    settings = artifact.settings
    claims = {name: Claim.parse(entry, f"claims.{name}") for name, entry in settings["claims"].items()}
    tables = {stem.name: pd.read_parquet(f"{stem}.parquet") for stem in figures}
    level = settings["figure"]["level"]
    data = judge(claims, tables, level, len(settings["seeds"]))
    save(artifact, data, caption(data, level), draw(data), table(data))
    progress(f"{out}.md: " + ", ".join(f"{n} {name}" for name, n in data["verdict"].value_counts().items()))


if __name__ == "__main__":
    run_cli(main)
