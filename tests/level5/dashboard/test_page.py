"""The page draws the year, needs nothing but itself, and can be used by eye, keyboard and screen reader."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
import sqlalchemy as sa

from level4_deployment.control import audit
from level5_monitoring.dashboard import page
from level5_monitoring.dashboard.data import Week, Year, read_year
from level5_monitoring.dashboard.page import Axis, Scale
from level5_monitoring.tables import open_log
from shared.settings import Settings
from tests.factories import monitor_result
from tests.level5.browser import Scheme, opened
from tests.level5.three_weeks import write_calendar


@pytest.fixture
def full(log: sa.Engine, tmp_path: Path) -> Year:
    """A year with everything that a page may show."""
    write_calendar(tmp_path)
    audit.record(log, audit.move("loop", audit.PROMOTE, 1, 2, "better"))
    return read_year(log, tmp_path, {"MLflow": "http://127.0.0.1:5000", "Prefect": "make ui"})


def test_the_cards_show_champion_losses_and_trainings(full: Year) -> None:
    html = " ".join(page.render(full).split())
    assert '<p class="big">Version 2</p> <p>since Sun 21 Apr, after version 1</p>' in html
    overall = page.overall(full)
    assert f'<p class="big">{overall["loop"]:.4f}</p>' in html
    assert f"weekly {overall['weekly']:.4f} · never retrained {overall['frozen']:.4f}, on 147 flights" in html
    assert '<p class="big">1</p> <p>after the first, in 29 days; weekly: 2</p>' in html
    assert "The loop only" not in html


def test_the_overall_loss_weighs_weeks_by_their_flights(full: Year) -> None:
    weeks = [Week("2013-04-01", 100, {"loop": 0.2}), Week("2013-04-08", 300, {"loop": 0.6})]
    assert page.overall(replace(full, weeks=weeks)) == {"loop": pytest.approx(0.5)}


def test_without_the_calendar_policies_the_page_says_so(log: sa.Engine, tmp_path: Path) -> None:
    assert "The loop only" in page.render(read_year(log, tmp_path, {}))


def test_the_file_names_the_commands_for_other_pages(level5_settings: Settings) -> None:
    text = page.write_page(level5_settings).read_text(encoding="utf-8")
    assert "MLflow and Prefect: <code>MLOPS_WORKSPACE=level5 make ui</code>" in text
    assert "Evidently: <code>MLOPS_WORKSPACE=level5 make reports</code>" in text


def test_messages_are_text_and_never_markup(log: sa.Engine, tmp_path: Path) -> None:
    html = page.render(read_year(log, tmp_path, {"<i>": "javascript:alert(1)"}))
    assert "&lt;b&gt;half&lt;/b&gt;" in html
    assert "<b>half" not in html
    assert 'href="javascript:' not in html


@pytest.mark.parametrize(
    ("value", "expected"), [(0.0, "h0"), (0.05, "h1"), (0.1, "h3"), (0.101, "h4"), (0.3, "h5"), (0.31, "h6")]
)
def test_a_cell_is_cold_up_to_its_threshold_and_hot_above(value: float, expected: str) -> None:
    assert page.shade(monitor_result("drift", value=value, threshold=0.1)) == expected
    assert page.shade(monitor_result("drift", "insufficient data", value=value)) == "none"


def test_consecutive_days_in_one_state_are_drawn_as_one(log: sa.Engine, tmp_path: Path) -> None:
    runs = page.draw(read_year(log, tmp_path, {}))["states"]["contract"]
    assert runs == [
        ("ok", "2013-04-01", "2013-04-09"),
        ("alarm", "2013-04-10", "2013-04-10"),
        ("ok", "2013-04-11", "2013-04-18"),
    ]


def test_a_day_without_a_result_interrupts_a_run(full: Year) -> None:
    days = {day: monitor_result(day=day, state="ok") for day in ("2013-04-01", "2013-04-03")}
    runs = page.draw(replace(full, states={"contract": days}))["states"]["contract"]
    assert [run[1:] for run in runs] == [("2013-04-01", "2013-04-01"), ("2013-04-03", "2013-04-03")]


def test_before_the_first_flight_there_is_a_page_too(tmp_path: Path) -> None:
    with open_log(f"sqlite:///{tmp_path / 'log.db'}") as log:
        html = page.render(read_year(log, tmp_path, {}))
    assert "The first model is being trained." in html
    assert "No day is closed yet." in html


class Links(HTMLParser):
    """Every address that a browser would load by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loaded += [value or "" for name, value in attrs if name == "src" or (tag == "link" and name == "href")]


def test_the_file_needs_nothing_but_itself(log: sa.Engine, tmp_path: Path) -> None:
    text = page.write(read_year(log, tmp_path, {}), tmp_path).read_text(encoding="utf-8")
    parser = Links()
    parser.feed(text)
    assert parser.loaded == ["data:,"]
    assert not re.search(r"@import|url\(", text)


def test_every_style_rule_has_an_element(full: Year) -> None:
    """A class that the style sheet names is in the templates, in the script, or made by the page's code."""
    templates = Path(page.__file__).with_name("templates")
    css = (templates / "page.css").read_text(encoding="utf-8")
    others = "".join(file.read_text(encoding="utf-8") for file in templates.iterdir() if file.suffix != ".css")
    made = {"insufficient-data", "good", "bad", "none", *(f"h{i}" for i in range(7)), *page.KINDS, *page.POLICIES}
    named = set(re.findall(r"\.([a-z][\w-]*)", css))
    assert {name for name in named - made if not re.search(rf"\b{name}\b", others)} == set()
    variables = set(re.findall(r"(--[\w-]+):", css))
    assert {name for name in variables if f"var({name})" not in css} == set()


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_it_fits_the_screen_and_its_words_stand_out(full: Year, tmp_path: Path, width: int, scheme: Scheme) -> None:
    """Nothing is wider than the screen; all text has a contrast of 4.5 to 1 or more with what is behind it."""
    with opened(page.write(full, tmp_path).as_uri(), width, scheme) as shown:
        assert shown.evaluate("document.documentElement.scrollWidth") <= width
        shown.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        assert shown.evaluate("document.documentElement.scrollWidth") <= width
        assert shown.evaluate(FAINT) == []


@pytest.mark.slow
def test_it_can_be_used_by_keyboard_alone(full: Year, tmp_path: Path) -> None:
    """Tab reaches the week, the figures and every event; each has a name, and shows that it has the focus."""
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
                assert shown.locator("details p", has_text="half</b> of temp is missing").is_visible()
        names = [one["name"] for one in reached if one["at"] != "body"]
        assert names[0] == "Skip to the year"
        assert {"Week", "Figures", "MLflow"} <= {*names}
        assert any("Contract alarm begins" in name for name in names)
        assert all(names)
        assert all(one["outlined"] for one in reached if one["at"] != "body")


@pytest.mark.slow
def test_a_mark_on_the_time_line_opens_its_event(full: Year, tmp_path: Path) -> None:
    with opened(page.write(full, tmp_path).as_uri(), 360) as shown:
        shown.click(".lane.training a")
        assert shown.locator("details p", has_text="new labels").is_visible()


def test_a_scale_has_round_marks_and_holds_all_values() -> None:
    scale = Scale([-0.013, 0.071], 0.002)
    assert scale.ticks == [-0.04, 0.0, 0.04, 0.08]
    assert (scale.at(0.08), scale.at(-0.04)) == (0, 100)


def test_the_axis_holds_all_days() -> None:
    axis = Axis("2013-04-01", "2013-12-31")
    assert (axis.days, axis.at("2013-04-01"), axis.at("2013-12-31", plus=1)) == (275, 0, 100)
    assert [name for _, name in axis.months()][0::8] == ["April", "December"]


FOCUSED = """() => {
  const on = document.activeElement, style = getComputedStyle(on);
  const label = on.labels && on.labels.length ? on.labels[0].innerText : "";
  const name = (on.getAttribute("aria-label") || label || on.innerText || "").trim().replace(/\\s+/g, " ");
  const outlined = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
  return { at: on === document.body ? "body" : on.id, name, outlined };
}"""

FAINT = """() => {
  const parts = (colour) => (colour.match(/[\\d.]+/g) || []).map(Number);
  const light = (rgb) => {
    const [r, g, b] = rgb.slice(0, 3).map((v) => v / 255)
      .map((v) => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const behind = (at) => {
    for (; at; at = at.parentElement) {
      const colour = parts(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const faint = [];
  for (const at of document.querySelectorAll("body *")) {
    const own = [...at.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || !at.checkVisibility() || at.closest("script, style")) continue;
    const [a, b] = [light(parts(getComputedStyle(at).color)), light(behind(at))];
    const contrast = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    const text = `${at.tagName} ${at.className} ${at.textContent.trim().slice(0, 30)}`;
    if (contrast < 4.5) faint.push(`${text} ${contrast.toFixed(2)}`);
  }
  return faint;
}"""
