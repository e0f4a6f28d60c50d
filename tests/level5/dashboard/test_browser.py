"""The page in a browser: on one screen, on paper, by eye, keyboard and screen reader."""

import socket
from dataclasses import replace
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
from level5_monitoring.monitors.distances import COLUMNS
from tests.factories import monitor_result
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


def test_a_bar_and_a_cell_stand_for_their_days(full: Year, tmp_path: Path) -> None:
    """An experiment that was stopped in shadow has a bar of its two days; a cell of several names the one it shows."""
    with opened(page.write(full, tmp_path).as_uri()) as shown:
        lane = shown.locator(".lane.experiment .area").bounding_box()
        bar = shown.locator(".lane.experiment .span[title='Tue 16 Apr: Version 3 against 2: stopped']").bounding_box()
        assert (bar["x"] - lane["x"]) / lane["width"] == pytest.approx(13 / 29, abs=0.01)
        assert bar["width"] / lane["width"] == pytest.approx(2 / 29, abs=0.01)
        shown.click(".lane.experiment .span")
        assert shown.locator("details p", has_text="because").is_visible()
        shown.click("#contract-2013-04-01")
        assert "contract, Mon 1 Apr to Tue 9 Apr" in shown.inner_text("#cell")
        assert "Mon 1 Apr, the nearest to its threshold" in shown.inner_text("#cell")
        shown.click("#contract-2013-04-10")
        assert "Wed 10 Apr" in shown.inner_text("#cell")
        assert "shown" not in shown.inner_text("#cell"), "it is the only day"


@pytest.mark.parametrize("width", [390, 1280, 1440])
def test_nothing_moves_when_something_begins_or_ends(full: Year, tmp_path: Path, width: int) -> None:
    """An alarm, an excluded day, an event, or a monitor that has its first result leave everything in its place."""
    excluded = {f"2013-04-{day}": reason for day, reason in ((10, "contract"), (11, "labels"), (12, "labels"))}
    full = replace(full, health=[])
    few = {name: days for name, days in full.states.items() if name == "contract"}
    years = {
        "nothing": replace(full, alarms=[], weeks=[replace(week, excluded={}) for week in full.weeks]),
        "drift": replace(full, alarms=[monitor_result("drift", target=name) for name in COLUMNS]),
        "contract": replace(full, alarms=[monitor_result(target=name) for name in ("temp", "dewp")]),
        "excluded": replace(full, weeks=[replace(week, excluded=excluded) for week in full.weeks]),
        "events": replace(full, events=full.events * 3),
        "monitors": replace(full, states=few | {name: {} for name in full.states if name not in few}),
    }
    found = {}
    for what, year in years.items():
        with opened(page.write(year, tmp_path).as_uri(), width) as shown:
            of_it = places(shown, ["#legend", ".panel", "#monitors", "#health"])
            found[what] = [place["y"] for place in of_it.values()]
    assert found == {what: pytest.approx(found["nothing"], abs=1) for what in found}


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
        assert {
            name: place["bottom"] for name, place in places(shown, first + events).items() if place["bottom"] > 720
        } == {}
        before = places(shown, first)
        shown.click("#inject")
        shown.locator("#inject", has_text="Remove").wait_for()
        shown.locator(".struck").nth(1).wait_for()
        shown.click("#go")
        shown.locator("#go", has_text="Pause").wait_for()
        assert places(shown, first) == before
        shown.evaluate("scrollTo(0, 1e6)")
        assert shown.evaluate("scrollY") > 0
        assert places(shown, ["#controls"])["#controls"]["y"] == pytest.approx(0, abs=1)
        shown.goto(f"{shown.url}?present")
        assert max(one["bottom"] for one in places(shown, ["#verdict", ".months", *events]).values()) <= 720
        assert shown.locator("#inject").bounding_box()["y"] == pytest.approx(before["#go"]["y"], abs=2)
        assert shown.evaluate("parseFloat(getComputedStyle(document.body).fontSize)") > 20


def places(shown: Any, names: list[str]) -> dict[str, dict[str, float]]:
    """Where elements are on the screen, in pixels: all at one moment, since the live page is drawn again meanwhile."""
    boxes = "names => names.map((name) => document.querySelector(name).getBoundingClientRect().toJSON())"
    return dict(zip(names, shown.evaluate(boxes, names), strict=True))


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
