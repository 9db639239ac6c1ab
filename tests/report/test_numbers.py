"""No measured number is typed by hand, and every generated block is what the published data give now."""

from pathlib import Path

import pytest
from report.number_lint import documents, typed_numbers
from repository import REPO

from coherence.report.blocks import fill, without

ALLOWED = {
    "README.md": {
        "Python 3.11": "a version",
        "0.3 M-parameter": "the size that config/default.yaml sets",
    },
    "alignment.md": {
        "first 512": "where the reference file cuts a text: its own constant",
        "after token 512": "the same",
        "one character eight times": "the text of the recorded vector",
    },
}
"""Numbers that nobody measured, by document, with the reason."""


@pytest.mark.parametrize("path", documents(), ids=lambda path: path.name)
def test_no_measured_number_is_typed_by_hand(path: Path) -> None:
    found = typed_numbers(path.read_text(encoding="utf-8"), ALLOWED.get(path.name, {}))
    assert found == [], f"{path.name}: {'; '.join(map(str, found))}: let `make publish` write it, or say why not here"


@pytest.mark.parametrize("name", ALLOWED)
def test_what_is_allowed_is_needed(name: str) -> None:
    (text,) = (path.read_text(encoding="utf-8") for path in documents() if path.name == name)
    for words, reason in ALLOWED[name].items():
        rest = {other: why for other, why in ALLOWED[name].items() if other != words}
        assert typed_numbers(text, rest), f"{name} no longer says '{words}' ({reason})"


def test_generated_blocks_are_what_the_published_data_give(monkeypatch: pytest.MonkeyPatch) -> None:
    import publish

    monkeypatch.chdir(REPO)
    found, used = publish.generated(), ""
    for document in publish.DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        assert fill(document, found) == text, f"{document} is not what docs/figures gives: run `make publish`"
        used += text
    assert [name for name in found if f"<!-- generated: {name} -->" not in used] == [], "no document shows them"


@pytest.mark.parametrize(
    "text",
    [
        "Accuracy is 0.93 there.",
        "It falls by -0.58.",
        "About 12 % of all.",
        "12% of all",
        "It is 5x as fast.",
        "It is 5 times as fast.",
        "It takes 40 seconds.",
        "after 3 min",
        "2592 completions",
        "| task | 0.903 |",
        "1e-3 and less",
        "in `0.93` of all",
        ".93 of the whole",
        "62 of 63 prompts",
        "six out of the nine arms",
        "99 percent",
        "12 points",
        "a ninefold gain",
        "Ninety-nine percent",
        "three times as fast",
        "stops within a second",
        "at step 34",
        "on 5 seeds",
        "it has `0.99 accuracy`",
        "it has `.99 accuracy`",
        "it has `accuracy: 0.99`",
        "<!-- generated: a -->\n0.1\n<!-- end -->\nthen 0.2",
        "Wrong: 0.91 [vector `reward-collapsed`].",
        "Cited elsewhere: 0.90 [vector `reward-collapsed`].\n\nIt is 0.90.",
        "Not recorded: 0.90 [vector `no-such-vector`].",
        "- 0.5 here\n- there [vector `reward-T1`]",
    ],
)
def test_a_typed_number_is_found(text: str) -> None:
    assert len(typed_numbers(text, {})) == 1


@pytest.mark.parametrize(
    "text",
    [
        "Arms 1 and 2, exit code 2, 3/16, 64/3, T+1, 2^14, one of two, a manifold, three seeds.",
        "<!-- generated: a -->\n0.93\n<!-- end -->",
        "```yaml\nthreshold: 0.99\n```",
        "run `python scripts/carl.py gate-check --phi 0.85`",
        "`-sum p log(p + 1e-10)`, `alpha=0.5`",
        "The formula gives 0.90 [vector `reward-collapsed`].",
        "| 0.398 for it [vector `reward-T1`] | 0.35 [vector `reward-T0`] |",
        "Needs Python 3.11.",
    ],
)
def test_what_is_no_measurement_is_left_alone(text: str) -> None:
    assert typed_numbers(text, {"Python 3.11": "a version"}) == []


def test_the_line_is_told() -> None:
    text = "One.\n\n```\n0.1\n```\n<!-- generated: a -->\n0.1\n<!-- end -->\nTwo\nthree 0.93."
    assert [str(found) for found in typed_numbers(text, {})] == ["line 10: 0.93"]


def test_blocks_are_filled_again_to_the_same_text(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text("a\n<!-- generated: one -->\nold\n<!-- end -->\nb\n<!-- generated: two -->\n<!-- end -->\n")
    blocks = {"one": "new \\1 text", "two": "2"}
    filled = fill(path, blocks)
    assert "new \\1 text" in filled and "old" not in filled and without(filled).split() == ["a", "b"]
    path.write_text(filled)
    assert fill(path, blocks) == filled
    assert fill(path, blocks | {"one": "else"}) != filled


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<!-- generated: three -->\n<!-- end -->", "no generated block 'three' \\(has: one\\)"),
        ("<!-- generated: one -->\nnever closed", "not closed"),
        ("x <!-- end -->", "not closed"),
    ],
)
def test_a_broken_mark_is_a_mistake_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "page.md"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        fill(path, {"one": "1"})
