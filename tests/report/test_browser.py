"""The report in a real browser: on a phone, on a desk, on paper."""

import re
from pathlib import Path

import pytest
from PIL import Image
from report.browser import PROGRAM, measure, print_pdf, screenshot

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="no chromium is installed (apt-get install chromium)")


@pytest.mark.parametrize("width", [360, 1200])
def test_it_fits_the_width_shows_its_figures_and_loads_nothing(report: Path, width: int) -> None:
    told = measure(report, width)
    assert told["width"] == width and told["scroll"] <= width, "the page scrolls sideways"
    assert len(told["images"]) == 3 and all(natural > 0 for natural, _ in told["images"]), "a figure does not render"
    assert [name for name in told["loads"] if not name.startswith("data:")] == []
    assert "How each run ended" in told["text"]


def test_on_a_phone_figures_keep_their_size_and_scroll_in_their_own_box(report: Path) -> None:
    told = measure(report, 360)
    assert all(shown == 672 for _, shown in told["images"])
    assert all(inner <= 360 for inner, _ in told["boxes"]) and any(inner < whole for inner, whole in told["boxes"])


def test_the_probe_sees_a_page_that_overflows(tmp_path: Path) -> None:
    (tmp_path / "wide.html").write_text(
        "<!DOCTYPE html><div style='width:600px'>x</div><img src='http://127.0.0.1:9/none.png'>"
    )
    told = measure(tmp_path / "wide.html", 360)
    assert told["scroll"] > 360 and told["images"][0][0] == 0 and told["loads"]


@pytest.mark.parametrize("width", [360, 1200])
def test_the_picture_is_not_blank(report: Path, tmp_path: Path, width: int) -> None:
    with Image.open(screenshot(report, width, 1800, tmp_path / "page.png")) as picture:
        shown = picture.convert("RGB").crop((0, 0, width, 1800))
    colours = {colour: count for count, colour in shown.getcolors(maxcolors=1 << 24)}
    assert colours.get((0, 0x72, 0xB2), 0) > 10_000, "the figures' blue is not there"
    assert len(colours) > 50, "there is no text"


def test_on_paper_it_has_pages(report: Path, tmp_path: Path) -> None:
    pdf = print_pdf(report, tmp_path / "report.pdf")
    assert pdf.startswith(b"%PDF-") and 1 < len(re.findall(rb"/Type\s*/Page\b", pdf)) < 10
