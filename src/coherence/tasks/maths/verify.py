"""Whether an answer equals the gold one: plain numbers here, everything else by math-verify in a process of its own."""

import json
import math
import select
import subprocess
import sys
import threading
from functools import lru_cache

from coherence.tasks.maths import worker
from coherence.tasks.maths.answers import read_number

START_S = 60.0
"""Until a new worker has answered a first question: sympy is large."""
WALL_S = 10.0
"""Until a worker that does not answer is killed."""


class Verifier:
    """One long-lived worker, started when it is first needed, and again after it has died or was killed."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.process: subprocess.Popen[str] | None = None

    def ask(self, gold: str, answer: str) -> bool | None:
        """math-verify's judgement, or None where it came to none in the time and memory that it has.

        OSError where no worker starts.
        """
        with self.lock:
            if self.process is None:
                self._start()
            told = self._exchange(gold, answer, WALL_S)
            if told is None:
                self.close()
            return told

    def _start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, worker.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        if not self._exchange("1", "1", START_S):
            self.close()
            raise OSError(f"math-verify does not start: see what `{sys.executable} {worker.__file__}` says")

    def _exchange(self, gold: str, answer: str, seconds: float) -> bool | None:
        assert self.process and self.process.stdin and self.process.stdout
        try:
            self.process.stdin.write(json.dumps([gold, answer]) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return None
        if not select.select([self.process.stdout], [], [], seconds)[0]:
            return None
        line = self.process.stdout.readline()
        return bool(json.loads(line)) if line else None

    def close(self) -> None:
        """End the worker, whatever it is doing."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


VERIFIER = Verifier()


@lru_cache(maxsize=1 << 14)
def equal(gold: str, answer: str) -> float:
    """1 if the two are the same number or expression, 0 if not; NaN where that could not be found out."""
    numbers = read_number(gold), read_number(answer)
    if None not in numbers:
        return float(numbers[0] == numbers[1])
    told = VERIFIER.ask(gold, answer)
    return math.nan if told is None else float(told)
