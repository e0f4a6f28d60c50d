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
def opened(
    address: str, width: int = 1280, scheme: Scheme = "light", excused: str = "", scale: int = 1
) -> Iterator[Any]:
    """The page at `address`; when the block ends, no script may have failed, and nothing been asked of the internet.

    That holds for further pages of its context too. excused: the error of a script that may fail. scale: of the screen,
    in its pixels for one of CSS.
    """
    if not CHROMIUM:
        without("no chromium is installed: no browser to test with")
    errors, asked = [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            context = browser.new_context(
                viewport={"width": width, "height": 800}, color_scheme=scheme, device_scale_factor=scale
            )
            context.on("weberror", lambda error: errors.append(str(error.error)))
            context.on("request", lambda request: asked.append(request.url))
            page = context.new_page()
            page.goto(address)
            yield page
        finally:
            browser.close()
    assert [error for error in errors if not excused or excused not in error] == []
    assert [url for url in asked if not url.startswith(("http://127.0.0.1:", "file:", "data:", "blob:"))] == []
