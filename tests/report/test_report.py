"""The report as a file: everything is in it, escaped, and it asks for nothing else."""

import base64
import json
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
import write_report
from report.small_study import EVIL, RUNS, STUDY, SVG, exhibit, write_study

from coherence.config.report import settings
from coherence.report.exhibits import in_order, read_exhibit, split_title

VOID = {"meta", "img", "br", "hr", "link"}


class Reader(HTMLParser):
    """Tags with their attributes, the text, and whether every tag is closed where it should be."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def page(report: Path) -> Reader:
    return Reader(report.read_text(encoding="utf-8"))


def test_every_figure_is_there_in_the_order_of_the_story(page: Reader) -> None:
    assert [article["id"] for article in page.all("article")] == ["sft_phases", "arms", "constants", "unheard_of"]
    images = page.all("img")
    assert [image["alt"] for image in images] == ["A figure", "Both", "unheard_of"]
    for image in images:
        kind, _, data = str(image["src"]).partition(";base64,")
        assert kind == "data:image/svg+xml" and base64.b64decode(data).decode() == SVG and image["width"] == "672"
    assert len(page.all("table")) == 3, "the runs, and two tables"


def test_it_can_be_read_without_eyes(page: Reader) -> None:
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert page.all("html") == [{"lang": "en"}]
    assert all(image["alt"] and image["aria-describedby"] in ids for image in page.all("img"))
    assert {link["href"] for link in page.all("a")} <= {f"#{name}" for name in ids}
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1 and all(after - before <= 1 for before, after in pairwise(levels))


def test_it_loads_nothing(report: Path, page: Reader) -> None:
    assert not {"script", "link", "iframe", "object", "embed"} & {tag for tag, _ in page.tags}
    assert not re.search(r"https?:|@import|url\(", re.sub(r"base64,[\w+/=]+", "", report.read_text()))


def test_every_run_says_how_it_ended(page: Reader) -> None:
    text = " ".join(page.text.split())
    for outcome in RUNS.values():
        assert str(outcome["status"]) in text
    assert "9 steps, gate never fired" in text and "7 steps, gate at 7" in text
    assert "2 steps, 9 of 16 unscored" in text and "not run" in text
    assert "5 runs, 2 of them ok. SFT start seed 1: not_crystallized" in text
    assert [a["class"] for a in page.all("span") if "odd" in str(a["class"])] == ["status odd"] * 3


def test_what_was_left_out_is_counted(page: Reader) -> None:
    text = " ".join(page.text.split())
    assert "Dropped: 3 sft: over 96 tokens." in text
    assert "9 of 80 completions had no score in training" in text
    assert "2 of 12 held-out completions have no score" in text


def test_names_and_captions_cannot_break_the_page(page: Reader) -> None:
    assert EVIL in page.text and not page.all("b")
    assert "<script>alert(1)</script>" in page.text and not page.all("script")
    assert "a|b" in page.text and "T*(3) < 4." in page.text


def test_an_embedded_study_says_so_and_no_private_path_is_told(report: Path, page: Reader) -> None:
    assert "embedded study: small on purpose" in page.text
    assert "/somewhere/private" not in report.read_text()
    assert "torch 2." in page.text and "snakemake --cores 2 all --configfile config/small.yaml" in page.text
    assert "does not know where its study's file lies: config/small.yaml" in " ".join(page.text.split())


def test_a_rebuild_elsewhere_has_the_same_bytes(report: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(report.parent)
    arguments = write_study(report.parent)
    figures = [stem.relative_to(report.parent) for stem in arguments["figures"]]  # type: ignore[attr-defined]
    pages = []
    for out in ("once", "again"):
        write_report.main(**arguments | {"figures": figures}, out=tmp_path / out / "report")  # type: ignore[arg-type]
        pages.append((tmp_path / out / "report.html").read_bytes())
    assert pages[0] == pages[1]


def test_every_setting_but_the_place_of_files_is_its_identity() -> None:
    one = settings(STUDY, "small")
    assert one == settings(STUDY | {"data_root": "elsewhere"}, "small")
    assert one != settings(STUDY, "other") and one != settings(STUDY | {"seeds": [0]}, "small")
    json.dumps(one)


def test_template_and_style_are_part_of_the_identity(report: Path) -> None:
    code = json.loads((report.parent / "report.card.json").read_text())["identity"]["parts"]["code"]
    assert {"src/coherence/report/page.html.jinja", "src/coherence/report/page.css"} <= set(code)


def test_a_figure_without_a_file_is_a_mistake_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"empty has neither a figure \(.svg\) nor a table \(.md\)"):
        read_exhibit(exhibit(tmp_path / "empty", "**Nothing.** At all."))
    with pytest.raises(FileNotFoundError):
        read_exhibit(tmp_path / "absent")
    with pytest.raises(ValueError, match="does not tell its width"):
        read_exhibit(exhibit(tmp_path / "odd", "x", svg=SVG.replace("504pt", "100%")))


def test_titles_and_order() -> None:
    assert split_title("**Arms\nhere.** Then more.\n", "arms") == ("Arms here", "Then more.")
    assert split_title("No bold. **Late.**", "arms") == ("arms", "No bold. **Late.**")
    names = [stem.name for stem in in_order([Path(name) for name in ("b", "constants", "a", "arms", "sft_phases")])]
    assert names == ["sft_phases", "arms", "constants", "a", "b"]
