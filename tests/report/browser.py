"""A headless Chromium: what a page measures at a width, what it looks like, and how it prints."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--allow-file-access-from-files")
FRAME = "<body style='margin:0'><iframe src='{src}' style='border:0;width:{width}px;height:{height}px'></iframe>"
"""A window cannot be as narrow as a phone; a frame can, and media queries look at the frame."""
PROBE = """<pre id=told></pre><script>
onload = () => {
  const page = frames[0], root = page.document.documentElement, images = [...page.document.images];
  told.textContent = JSON.stringify({
    width: page.innerWidth, scroll: root.scrollWidth, height: root.scrollHeight,
    images: images.map(image => [image.complete && image.naturalWidth, image.getBoundingClientRect().width]),
    boxes: [...page.document.querySelectorAll(".scroll")].map(box => [box.clientWidth, box.scrollWidth]),
    loads: page.performance.getEntriesByType("resource").map(entry => entry.name.slice(0, 80)),
    text: page.document.body.innerText,
  })
}</script>"""


def run(*arguments: str) -> str:
    """What Chromium prints."""
    done = subprocess.run([str(PROGRAM), *FLAGS, *arguments], capture_output=True, text=True, check=True, timeout=120)
    return done.stdout


def framed(page: Path, width: int, height: int, more: str = "") -> str:
    """The address of a page that shows `page` in a frame of this size."""
    wrapper = page.with_name(f"{page.stem}.{width}.html")
    wrapper.write_text(FRAME.format(src=page.as_uri(), width=width, height=height) + more)
    return wrapper.as_uri()


def measure(page: Path, width: int) -> dict[str, Any]:
    """Width and scroll width of the page, its images, its scroll boxes, and what it loaded."""
    dom = run("--dump-dom", framed(page, width, 800, PROBE))
    found = re.search(r'<pre id="told">(.*?)</pre>', dom, flags=re.DOTALL)
    assert found and found[1], dom[-2000:]
    return dict(json.loads(html.unescape(found[1])))


def screenshot(page: Path, width: int, height: int, out: Path) -> Path:
    """The first `height` pixels of the page at this width."""
    run(f"--window-size={max(width, 500)},{height}", f"--screenshot={out}", framed(page, width, height))
    return out


def print_pdf(page: Path, out: Path) -> bytes:
    """The page on paper."""
    run("--no-pdf-header-footer", f"--print-to-pdf={out}", page.as_uri())
    return out.read_bytes()
