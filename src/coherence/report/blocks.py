"""Text between marks in a document is generated; this reads and replaces it.

<!-- generated: NAME -->
...
<!-- end -->
"""

import re
from collections.abc import Mapping
from pathlib import Path

BLOCK = re.compile(r"(?P<open><!-- generated: (?P<name>[\w-]+) -->\n)(?P<text>.*?)(?P<close><!-- end -->)", re.DOTALL)


def fill(path: Path, blocks: Mapping[str, str]) -> str:
    """The document with each marked block as it should be; ValueError for a mark that no block has, or that is open."""
    text = path.read_text(encoding="utf-8")
    found = [match["name"] for match in BLOCK.finditer(text)]
    if len(found) != text.count("<!-- generated:") or len(found) != text.count("<!-- end -->"):
        raise ValueError(f"{path}: a generated block is not closed; it ends with a line <!-- end -->")
    for name in found:
        if name not in blocks:
            raise ValueError(f"{path}: no generated block '{name}' (has: {', '.join(sorted(blocks))})")
    return BLOCK.sub(lambda match: f"{match['open']}\n{blocks[match['name']].strip()}\n\n{match['close']}", text)


def without(text: str) -> str:
    """The document without what is generated; line numbers stay."""
    return BLOCK.sub(lambda match: "\n" * match[0].count("\n"), text)
