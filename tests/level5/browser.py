"""A real browser for the tests of pages: Chromium, if this machine has one."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from playwright.sync_api import sync_playwright

from tests.support import without

Scheme = Literal["light", "dark"]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@contextmanager
def opened(address: str, width: int = 1280, scheme: Scheme = "light") -> Iterator[Any]:
    """The page at `address`; when the block ends, no script may have failed and nothing been asked for elsewhere."""
    if not CHROMIUM:
        without("no chromium is installed: no browser to test with")
    errors, asked = [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.on("request", lambda request: asked.append(request.url))
            page.goto(address)
            yield page
        finally:
            browser.close()
    assert errors == []
    origin = address if address.startswith("file:") else "/".join(address.split("/")[:3])
    assert [url for url in asked if not url.startswith((origin, "data:"))] == []
