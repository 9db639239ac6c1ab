"""The scripts' main functions are called in this process."""

import sys
from pathlib import Path

import pytest
from report.small_study import write_study
from repository import REPO

sys.path.insert(0, str(REPO / "scripts"))


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """report.html of the small study."""
    import write_report

    folder = tmp_path_factory.mktemp("report")
    write_report.main(**write_study(folder), out=folder / "report")  # type: ignore[arg-type]
    return folder / "report.html"
