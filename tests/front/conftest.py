"""The front door is called as a person calls it: by its command line, in this process."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from repository import REPO

sys.path.insert(0, str(REPO / "scripts"))

import carl


class Answer(NamedTuple):
    """What a call left: exit code, stdout, stderr."""

    code: int
    out: str
    err: str

    def json(self) -> dict[str, Any]:
        """The one object on stdout; an error if there is anything else, or a NaN in it."""

        def refuse(constant: str) -> None:
            raise AssertionError(f"{constant} is no JSON")

        return dict(json.loads(self.out, parse_constant=refuse))


@pytest.fixture
def front(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Answer]:
    """front("phi", "--logits-file", path): the answer of that command line, given in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("coherence.console.logs_to_file", lambda: False)  # under pytest stderr is a file
    monkeypatch.setattr("coherence.console._label", "")

    def call(*arguments: object) -> Answer:
        monkeypatch.setattr(sys, "argv", ["carl.py", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as end:
            carl.run_cli(carl.main)
        return Answer(int(end.value.code or 0), *capfd.readouterr())

    return call


@pytest.fixture
def mistake(front: Callable[..., Answer]) -> Callable[..., str]:
    """As `front`, for a call that must fail: the one line that it gives, after exit code 2 and an empty stdout."""

    def call(*arguments: object) -> str:
        code, out, err = front(*arguments)
        assert (code, out) == (2, "")
        (line,) = err.splitlines()
        assert line.startswith("error: ") and "Traceback" not in err
        return line

    return call
