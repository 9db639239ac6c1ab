"""The final answer of a completion, and the numbers that need no algebra to be compared."""

import re
from fractions import Fraction

MARK = "####"
"""Before the final answer, which is the last line."""
LONGEST = 200
"""Characters of a final answer."""
FORBIDDEN = re.compile("[<>$\N{HORIZONTAL ELLIPSIS}]")
"""What no final answer holds: special tokens show as <...>, and a completion that never ended in an ellipsis."""
SYMBOLS = {"\N{MINUS SIGN}": "-", "\\$": "", "$": "", "\\%": "%", "\\,": "", "\\!": "", "\N{NO-BREAK SPACE}": " "}
WHOLE = r"[0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,30}"
NUMBER = re.compile(
    rf"(?P<sign>[-+]?) ?(?P<number>(?:{WHOLE})(?:\.[0-9]{{0,30}})?|\.[0-9]{{1,30}})(?: ?/ ?(?P<under>{WHOLE}))?"
    r" ?%?(?P<unit>(?: ?[A-Za-z]{2,}){0,3})"
)
SCALES = frozenset(("hundred", "thousand", "million", "billion", "trillion", "dozen", "half", "squared", "cubed", "pi"))
"""Words after a number that make something else of it: not units, and a single letter is none either."""


def final_answer(completion: str) -> str | None:
    """What follows the mark in the last line; None unless there is exactly one mark and a plain answer behind it."""
    before, mark, answer = completion.rpartition(MARK)
    asked = mark and MARK not in before and (not before or before.endswith("\n")) and answer.startswith(" ")
    answer = plain(answer)
    if not asked or not answer or "\n" in answer or len(answer) > LONGEST or FORBIDDEN.search(answer):
        return None
    return answer


def plain(answer: str) -> str:
    """Without typographic variants, currency signs and spaces around it."""
    for symbol, replacement in SYMBOLS.items():
        answer = answer.replace(symbol, replacement)
    return answer.strip()


def read_number(answer: str) -> Fraction | None:
    """The exact value of a decimal number or fraction with thousands commas, percent sign or unit (which count for
    nothing: 50% is 50, as in the data); None for all that needs more thought. Never more work than its length."""
    match = NUMBER.fullmatch(answer.removesuffix("."))
    if match is None or SCALES & set(match["unit"].lower().split()):
        return None
    under = int((match["under"] or "1").replace(",", ""))
    if not under:
        return None
    value = Fraction("0" + match["number"].replace(",", "").removesuffix(".")) / under
    return -value if match["sign"] == "-" else value
