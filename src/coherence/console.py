"""What a person sees while something runs, and how a mistake is told. Nothing here can change a result."""

import os
import signal
import stat
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

import tyro

_label = ""


def label(text: str) -> None:
    """Name the cell that this process works on; it stands before every line, since two jobs share a terminal."""
    global _label
    _label = f"[{text}] "


def first_process() -> bool:
    """Whether this process is the only one, or the first of those that torchrun has started for one job."""
    return os.environ.get("RANK", "0") == "0"


def progress(text: str) -> None:
    """Print one line to the terminal, and to the log as well where stderr has been sent to a file."""
    if not first_process():
        return
    print(f"{_label}{text}", flush=True)
    if logs_to_file():
        print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def logs_to_file() -> bool:
    """True if stderr is a file and stdout is not the same one (`2> log`)."""
    log = os.fstat(2)
    return stat.S_ISREG(log.st_mode) and not os.path.samestat(log, os.fstat(1))


class Ticker:
    """Prints at most one line per `every` seconds: `ticker(step, total, "loss 0.3")`; the last step always prints."""

    def __init__(self, every: float = 5.0) -> None:
        self.every = every
        self.last = 0.0

    def __call__(self, step: int, total: int, text: str) -> None:
        now = time.monotonic()
        if now - self.last >= self.every or step == total:
            self.last = now
            progress(f"step {step}/{total}  {text}")


def one_line(error: Exception) -> str:
    """A mistake in one line; what the system says of a file gets the file's name in front and a hint."""
    text = str(error)
    if isinstance(error, OSError) and error.filename:
        text = f"{error.filename}: {error.strerror} (is the path right, and may it be read or written?)"
    elif isinstance(error, FileNotFoundError):
        text = f"{error}: no such file (is that the right folder?)"
    return " ".join(text.split())


def run_cli(main: Callable[..., Any]) -> None:
    """Run a tyro program. A user's mistake (ValueError, a file that cannot be read or written) is one line and exit
    code 2; where stderr is a log file, that gets the whole story. It ends quietly where the reader of stdout has gone
    (`| head`)."""
    try:
        try:
            _run(main)
        finally:
            print(end="", flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # for what the interpreter still flushes at its end
        raise SystemExit(128 + signal.SIGPIPE) from None


def _run(main: Callable[..., Any]) -> None:
    try:
        code = tyro.cli(main)
    except BrokenPipeError:
        raise
    except (ValueError, OSError) as error:
        line = f"error: {one_line(error)}"
        if logs_to_file():
            traceback.print_exc()
            print(f"{_label}{line}")
        print(line, file=sys.stderr)
        raise SystemExit(2) from None
    raise SystemExit(code if isinstance(code, int) else 0)
