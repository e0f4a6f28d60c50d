"""The page in a browser: on one screen, on paper, by eye, keyboard and screen reader."""

import socket
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa
from axe_playwright_python.sync_playwright import Axe

from level4_deployment.control.server import api_server
from level5_monitoring.dashboard import page
from level5_monitoring.dashboard.data import Year
from level5_monitoring.live_demo.clock import Clock
from level5_monitoring.live_demo.server import LivePage, create_app
from tests.level5.browser import Scheme, opened

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("width", "scheme"), [(360, "dark"), (1280, "light"), (1280, "dark")])
def test_it_fits_the_screen_and_axe_finds_nothing(full: Year, tmp_path: Path, width: int, scheme: Scheme) -> None:
    """Nothing is wider than the screen, or denied to people who see or hear badly; also with everything open."""
    with opened(page.write(full, tmp_path).as_uri(), width, scheme) as shown:
        assert shown.evaluate("document.documentElement.scrollWidth") <= width
        shown.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        shown.click("#drift-temp-2013-04-07")
        assert shown.locator("#cell", has_text="week to Sun 7 Apr").is_visible()
        assert shown.evaluate("document.documentElement.scrollWidth") <= width
        found = Axe().run(shown)
        assert found.violations_count == 0, found.generate_report()


def test_it_is_printed_with_its_charts(full: Year, tmp_path: Path) -> None:
    """Browsers leave out backgrounds, of which bars and marks are made, unless the page insists; and paper is light."""
    with opened(page.write(full, tmp_path).as_uri(), 1280, "dark") as shown:
        printed, whole = (len(shown.pdf(print_background=background)) for background in (False, True))
        assert printed == pytest.approx(whole, abs=100)
        shown.emulate_media(media="print")
        assert shown.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(251, 250, 247)"
        shown.add_style_tag(content="* { print-color-adjust: economy !important }")
        assert len(shown.pdf(print_background=False)) < printed - 1000


def test_one_screen_holds_the_year_and_its_controls(full: Year, log: sa.Engine, tmp_path: Path) -> None:
    """At 1280 by 720, also in large type; the controls stay, and neither a button nor a fault moves anything."""
    live = LivePage(log, tmp_path, Clock(tmp_path, paused=True), "live")
    live.clock.next = pd.Timestamp("2013-04-21 12:00", tz="UTC")
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        api_server(create_app(live), listening),
        live.drawing(),
        live.activities.during("training version 2", lambda: 0.4),
        opened(f"http://127.0.0.1:{listening.getsockname()[1]}/") as shown,
    ):
        shown.set_viewport_size({"width": 1280, "height": 720})
        shown.locator("#doing", has_text="training version 2, ").wait_for()
        assert shown.evaluate("document.getElementById('share').value") == pytest.approx(0.4)
        first = ["#go", "#inject", "#verdict", "#alarms", ".plot:not(.small)", ".plot.small"]
        events = [f".events li:not([hidden]):nth-child({i}) summary" for i in (1, 2)]
        assert {name: bottom(shown, name) for name in first + events if bottom(shown, name) > 720} == {}
        before = {name: shown.locator(name).first.bounding_box() for name in first}
        shown.click("#inject")
        shown.locator("#inject", has_text="Remove").wait_for()
        shown.locator(".struck").nth(1).wait_for()
        shown.click("#go")
        shown.locator("#go", has_text="Pause").wait_for()
        assert {name: shown.locator(name).first.bounding_box() for name in first} == before
        shown.evaluate("scrollTo(0, 1e6)")
        assert shown.evaluate("scrollY") > 0
        assert shown.locator("#controls").bounding_box()["y"] == pytest.approx(0, abs=1)
        shown.goto(f"{shown.url}?present")
        assert max(bottom(shown, name) for name in ["#verdict", ".months", *events]) <= 720
        assert shown.locator("#inject").bounding_box()["y"] == pytest.approx(before["#go"]["y"], abs=2)
        assert shown.evaluate("parseFloat(getComputedStyle(document.body).fontSize)") > 20


def bottom(shown: Any, what: str) -> float:
    """Where an element ends, in pixels from the top of the screen."""
    end: float = shown.evaluate("what => document.querySelector(what).getBoundingClientRect().bottom", what)
    return end


def test_it_can_be_used_by_keyboard_alone(full: Year, tmp_path: Path) -> None:
    """Tab reaches week, cells, figures and every event; each has a name, and shows that it has the focus."""
    with opened(page.write(full, tmp_path).as_uri()) as shown:
        reached = []
        for _ in range(60):
            shown.keyboard.press("Tab")
            reached.append(shown.evaluate(FOCUSED))
            if reached[-1]["at"] == "week":
                before = shown.inner_text("#week-text")
                shown.keyboard.press("ArrowLeft")
                assert shown.inner_text("#week-text") != before
            if reached[-1]["at"] == "body":
                break
            if reached[-1]["name"].startswith("Wed 10 Apr"):
                shown.keyboard.press("Enter")
                shown.locator(".evidence", has_text="half</b> of temp is missing").wait_for()
            if reached[-1]["at"].startswith("drift-temp"):
                shown.keyboard.press("Enter")
                assert shown.evaluate("document.activeElement.id") == "close"
                shown.keyboard.press("Escape")
                assert shown.evaluate("document.activeElement.id") == reached[-1]["at"]
        names = [one["name"] for one in reached if one["at"] != "body"]
        assert names[0] == "Skip to the year"
        assert {"Week", "Figures", "MLflow"} <= {*names}
        assert any("Contract alarm begins" in name for name in names)
        assert all(names)
        assert all(one["outlined"] for one in reached if one["at"] != "body")
        shown.click(".lane.training a")
        assert shown.locator("details p", has_text="new labels").is_visible()


FOCUSED = """() => {
  const on = document.activeElement, style = getComputedStyle(on);
  const label = on.labels && on.labels.length ? on.labels[0].innerText : "";
  const name = (on.title || on.getAttribute("aria-label") || label || on.innerText || "").trim().replace(/\\s+/g, " ");
  const outlined = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
  return { at: on === document.body ? "body" : on.id, name, outlined };
}"""
