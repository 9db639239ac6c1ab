"""The compact text form of a tool call, `Name(key=value; key2=a|b)`: write, read, mark its content."""

import re
from typing import Any

CALL = re.compile(r"(?P<name>\w+)\((?P<body>.*)\)", re.DOTALL)
Arguments = dict[str, list[str]]


def normalise(arguments: dict[str, Any]) -> Arguments:
    """Every argument as a list of texts, in the given order."""
    return {
        key: [str(item) for item in value] if isinstance(value, list) else [str(value)]
        for key, value in arguments.items()
    }


def write_call(name: str, arguments: Arguments) -> tuple[str, tuple[tuple[int, int], ...]]:
    """The text and the character spans of its values (the content: names and keys follow from the request's kind)."""
    text, spans = f"{name}(", []
    for number, (key, values) in enumerate(arguments.items()):
        text += f"{'; ' if number else ''}{key}="
        start = len(text)
        text += "|".join(values)
        spans.append((start, len(text)))
    return text + ")", tuple(spans)


def read_call(text: str) -> tuple[str, Arguments] | None:
    """(name, arguments) of a completion that is exactly one call, else None. Linear in the text's length."""
    match = CALL.fullmatch(text.strip())
    if match is None:
        return None
    arguments: Arguments = {}
    for part in match["body"].split("; ") if match["body"] else ():
        key, equals, value = part.partition("=")
        if not equals or not key or key in arguments:
            return None
        arguments[key] = value.split("|")
    return match["name"], arguments
