"""Write the JSON Schema of a study's config file, from the models that check it."""

import json
from pathlib import Path

from coherence.config.study import StudyConfig
from coherence.console import run_cli

SCHEMA = Path("workflow/schemas/study.schema.json")


def schema_text() -> str:
    """The schema as it should stand in the repository."""
    return json.dumps(StudyConfig.model_json_schema(), indent=1, sort_keys=True) + "\n"


def main(out: Path = SCHEMA) -> None:
    """Write the schema that editors use to complete and check config files.

    Args:
        out: where to.
    """
    out.write_text(schema_text(), encoding="utf-8")


if __name__ == "__main__":
    run_cli(main)
