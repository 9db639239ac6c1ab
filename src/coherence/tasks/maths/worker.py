"""A process that asks math-verify whether two answers are equal: one JSON line in, one out, until its input ends.

Apart from the training process, since an answer like 10**10**10 can take all time and memory: here that ends this
process. Only LaTeX is read; math-verify's reader of plain expressions hands text to Python's eval.
"""

import json
import resource
import sys
import time

CHECK_S = 4
"""CPU seconds that one check may take, in a process that nobody waits for any more too."""
MEMORY = 2 << 30
"""Bytes of address space."""


def main() -> None:
    """Answer each pair [gold, answer] with true or false."""
    from math_verify import LatexExtractionConfig, parse, verify

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    for line in sys.stdin:
        seconds = int(time.process_time()) + CHECK_S
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, resource.RLIM_INFINITY))
        gold, answer = (
            parse(f"${text}$", [LatexExtractionConfig()], fallback_mode="no_fallback", parsing_timeout=None)
            for text in json.loads(line)
        )
        equal = gold and answer and verify(gold, answer, timeout_seconds=None, raise_on_error=True)
        print(json.dumps(bool(equal)), flush=True)


if __name__ == "__main__":
    main()
