"""A page in headless Chromium, as a person with a wide screen, a telephone, a printer or a dark room sees it."""

import json
import os
import re
import shutil
import subprocess
from html import escape, unescape
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium-headless-shell", "chromium", "google-chrome"))), None
)

needed = pytest.mark.skipif(
    CHROMIUM is None and "BOUNCED_REQUIRE_CHROMIUM" not in os.environ, reason="no Chromium here"
)

# The page in a frame of the wanted width; what is around it may run a script and look inside.
FRAME = """<!doctype html><meta charset="utf-8"><body><iframe style="border:0;width:{width}px;height:900px"
srcdoc="{page}"></iframe><script>
onload = () => {{
  const page = document.querySelector("iframe").contentDocument, root = page.documentElement;
  const seen = [...page.querySelectorAll("svg")].map(svg => svg.getBoundingClientRect());
  document.body.textContent = JSON.stringify({{
    wide: root.scrollWidth,
    pictures: seen.length,
    empty: seen.filter(box => box.width < 10 || box.height < 5).length,
    background: getComputedStyle(page.body).backgroundColor,
    small: Math.min(...[...page.querySelectorAll("main *")].filter(e => e.innerText).map(
      e => parseFloat(getComputedStyle(e).fontSize))),
  }});
}};
</script>"""


def look(page: str, folder: Path, *, width: int, dark: bool = False) -> dict[str, Any]:
    """Return what is seen of a page in a window of this width."""
    file = folder / f"frame{width}.html"
    file.write_text(FRAME.format(width=width, page=escape(page)))
    scheme = f"--blink-settings=preferredColorScheme={0 if dark else 1}"
    dom = _run(scheme, "--dump-dom", file.as_uri())
    body = re.search(r"<body>(.*)</body>", dom, re.DOTALL)
    assert body, dom
    seen: dict[str, Any] = json.loads(unescape(body[1]))
    return seen


def printed(page: str, folder: Path) -> bytes:
    """Return the page as a printer gets it."""
    (folder / "page.html").write_text(page)
    _run("--no-pdf-header-footer", f"--print-to-pdf={folder / 'page.pdf'}", (folder / "page.html").as_uri())
    return (folder / "page.pdf").read_bytes()


def _run(*words: str) -> str:
    assert CHROMIUM, "BOUNCED_REQUIRE_CHROMIUM is set, and there is no Chromium"
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, check=True).stdout
