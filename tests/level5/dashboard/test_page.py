"""The page draws the year, needs nothing but itself, and can be used by eye, keyboard and screen reader."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from level5_monitoring import config
from level5_monitoring.dashboard import page
from level5_monitoring.dashboard.charts import Axis, Scale
from level5_monitoring.dashboard.data import Week, Year, read_year
from level5_monitoring.dashboard.evidently_reports import page_of_week
from level5_monitoring.dashboard.shares import Shares, add_shares
from level5_monitoring.monitors.distances import COLUMNS
from level5_monitoring.monitors.monitor_result import State
from level5_monitoring.monitors.reference import Reference
from level5_monitoring.policy_backtest.calendars import POLICIES
from level5_monitoring.policy_backtest.comparison import Effort, PolicyResult, keep_results
from level5_monitoring.tables import open_log
from shared.score import Score
from shared.settings import Settings
from tests.colours import contrast
from tests.factories import monitor_result


def test_the_verdict_names_effort_loss_and_failed_requests(full: Year) -> None:
    better = 1 - full.sound_loss["loop"] / full.sound_loss["weekly"]
    expected = ["Retrained 1 time, not 2 (every Monday)", f"log loss {better:.2%} lower", "3 failed requests"]
    assert page.verdict(replace(full, failed_requests=3)) == expected
    worse = replace(full, sound_loss={"loop": 0.5, "weekly": 0.4, "frozen": 0.6}, events=[*full.events, *full.events])
    assert page.verdict(worse) == ["Retrained 2 times, not 2 (every Monday)", "log loss 25.00% higher"]
    (trained,) = (one for one in full.events if one.kind == "training")
    failed = replace(trained, facts={"failed": "too few labelled flights"})
    assert page.verdict(replace(full, events=[*full.events, failed]))[0] == expected[0]
    html = " ".join(page.render(full).split())
    assert '<p class="big">Version 2</p> <p>since Mon 22 Apr, after version 1</p>' in html
    assert "weekly {weekly:.4f} · never {frozen:.4f}".format(**full.sound_loss) in html
    assert "The loop only" not in html


def test_days_that_are_left_out_are_marked_and_do_not_change_the_axis(full: Year) -> None:
    """The contract broke on 10 April, and a week's labels are all wrong."""
    before = page.draw(full)
    assert before["excluded"] == "1 day with inputs in alarm"
    assert "Left out (hatched)</b>: 1 day with inputs in alarm." in " ".join(page.render(full).split())
    assert "<td>1 day; with all days the loop has 0." in page.render(full)
    losses = {"loop": 9.0, "weekly": 0.5, "frozen": 0.5}
    days = {f"2013-04-{day}": "labels" for day in range(22, 29)}
    after = page.draw(replace(full, weeks=[*full.weeks, Week("2013-04-22", losses, days, 0, {})]))
    assert after["excluded"] == "1 day with inputs in alarm, 7 days with labels in alarm"
    for chart, old in zip(after["charts"], before["charts"], strict=True):
        assert chart["scale"].ticks == old["scale"].ticks
        assert chart["marks"][-1][1] == 0  # beyond the scale: at its edge
        assert chart["lines"]["loop"] == old["lines"]["loop"]


def test_the_page_shows_the_score_of_the_terminal_beside_its_own(log: sa.Engine, level5_settings: Settings) -> None:
    nothing, score = (0.0, 0.0, 0.0), Score(0.4584, 0.78, 0.14, 0.01, 0.25, 249_435)
    kept = PolicyResult(score, Effort(8, 0), nothing, nothing, 0, 0)
    keep_results(level5_settings, dict.fromkeys(POLICIES, kept), 0, faults=True)
    html = " ".join(page.render(read_year(log, config.own(level5_settings), {})).split())
    assert "249,435 flights by their true labels, as the terminal prints: loop 0.458 " in html
    assert "(trainings, with the first: 8)." in html
    assert "The loop only: the policies that retrain by the calendar have not been computed yet." in html


def test_the_file_names_the_commands_for_other_pages(level5_settings: Settings) -> None:
    text = page.write_page(level5_settings).read_text(encoding="utf-8")
    assert "MLflow and Prefect: <code>MLOPS_WORKSPACE=level5 make ui</code>" in text
    assert "Evidently: <code>MLOPS_WORKSPACE=level5 make reports</code>" in text


def test_messages_are_text_and_never_markup(log: sa.Engine, tmp_path: Path) -> None:
    html = page.render(read_year(log, tmp_path, {"<i>": "javascript:alert(1)"}))
    assert "&lt;b&gt;half&lt;/b&gt;" in html
    assert "<b>half" not in html
    assert 'href="javascript:' not in html


def test_alarms_for_which_a_person_must_look_differ_from_those_that_inform(full: Year) -> None:
    found = [page.kind_of(monitor_result(name)) for name in ("contract", "volume", "labels", "drift", "calibration")]
    assert found == ["alarm", "alarm", "alarm", "mild", "mild"]
    drift, contract = (monitor_result(name) for name in ("drift", "contract"))
    calm, red = (" ".join(page.render(replace(full, alarms=alarms)).split()) for alarms in ([drift], [drift, contract]))
    assert '<div id="alarms" class="good">' in calm
    assert "drift, 1 in all: informs only" in calm
    assert '<div id="alarms" class="bad">' in red
    assert "Alarms: a person must look" in red


@pytest.mark.parametrize(("value", "expected"), [(0.0, 4.0), (0.1, 33.3), (0.3, 100.0), (9.0, 100.0)])
def test_the_threshold_of_drift_stands_at_a_third(value: float, expected: float) -> None:
    assert page.height(monitor_result("drift", value=value, threshold=0.1)) == expected


def test_a_cell_of_drift_has_the_values_behind_it(
    full: Year, log: sa.Engine, tmp_path: Path, reference: Reference
) -> None:
    """Three weeks of the same made-up flights, and January to March."""
    assert add_shares(full, log, tmp_path).shares == {}  # there is no reference yet
    reference.save(tmp_path)
    shares = add_shares(full, log, tmp_path).shares
    assert {*shares} == {*COLUMNS}
    assert {day for one in shares.values() for day in one["weeks"]} == {"2013-04-07", "2013-04-14"}
    for one in shares.values():
        for row in (one["reference"], *one["weeks"].values()):
            assert len(row) == len(one["bins"])
            assert sum(row) == pytest.approx(1000, abs=6)
    kept: Shares = {}
    add_shares(full, log, tmp_path, kept)
    assert kept == shares


def test_an_event_leads_to_its_version_and_its_decision(full: Year) -> None:
    known = {"MLflow": "http://127.0.0.1:5000/pages/MLflow", page.DECISION: "make explain DECISION={day}"}
    [training] = [one for one in full.events if one.kind == "training"]
    assert page.links(training, known) == [
        ("version 2 and its run", "http://127.0.0.1:5000/pages/MLflow?at=/%23/models/flight-delays/versions/2"),
        ("the whole decision", "make explain DECISION=2013-04-12"),
    ]
    [alert] = [one for one in full.events if one.kind == "alert"]
    assert page.links(alert, {"Evidently": "make reports"}) == [("Evidently's dashboard", "make reports")]
    path = page_of_week("2013-04-14")
    assert page.links(alert, {"Evidently": "http://127.0.0.1:5000/pages/Evidently"}, {"2013-04-14"}) == [
        ("Evidently's report of the week to Sun 14 Apr", f"http://127.0.0.1:5000/pages/Evidently?at={path}")
    ]


def test_consecutive_days_in_one_state_are_drawn_as_one(full: Year) -> None:
    """A day without a result interrupts them. Of several days, one shows its values, and says why."""
    found: dict[State, dict[str, float | None]] = {
        "ok": {"2013-04-01": 0.01, "2013-04-02": 0.09, "2013-04-03": 0.05},
        "alarm": {"2013-04-04": 0.2, "2013-04-06": 0.3, "2013-04-07": 0.8},
        "insufficient data": {"2013-04-08": None, "2013-04-09": None},
    }
    days = {
        day: monitor_result(day=day, state=state, value=value)
        for state, values in found.items()
        for day, value in values.items()
    }
    runs = page.draw(replace(full, states={"contract": days}))["states"]["contract"]
    assert [
        (result.state, first[-2:], last[-2:], page.cell(result, first, last)["shown"]) for result, first, last in runs
    ] == [
        ("ok", "01", "03", "Tue 2 Apr, the nearest to its threshold"),
        ("alarm", "04", "04", ""),
        ("alarm", "06", "07", "Sun 7 Apr, the furthest beyond its threshold"),
        ("insufficient data", "08", "09", "Mon 8 Apr, the first day"),
    ]


def test_before_the_first_flight_there_is_a_page_too(tmp_path: Path) -> None:
    with open_log(f"sqlite:///{tmp_path / 'log.db'}") as log:
        year = read_year(log, tmp_path, {})
    assert [one.state for one in year.health if not one.ok] == ["none yet", "none yet"]
    assert year.failed_requests == 0
    html = page.render(year)
    assert "The first model is being trained." in html
    assert '<h1 id="verdict">The year is being read</h1>' in page.render(Year())
    assert not re.search(r'class="[^"]*\b(good|bad)\b', html)
    assert "No day is closed yet." in html


def test_the_file_needs_nothing_but_itself_and_has_one_format_of_dates(full: Year) -> None:
    html = page.render(full)
    text = re.sub(r"<(script|style|code).*?</\1>|<[^>]*>", " ", html, flags=re.DOTALL)
    assert "Wed 10 Apr" in text
    assert re.findall(r"2013-\d\d-\d\d", text) == []
    assert re.findall(r'\bsrc="[^"]*|<link[^>]*', html) == ['<link rel="icon" href="data:,"']
    assert not re.search(r"@import|url\(", html)


def test_every_style_rule_has_an_element(full: Year) -> None:
    """A class that the style sheet names is in the templates, in the script, or made by the page's code."""
    templates = Path(page.__file__).with_name("templates")
    css = (templates / "page.css").read_text(encoding="utf-8")
    others = "".join(file.read_text(encoding="utf-8") for file in templates.iterdir() if file.suffix != ".css")
    made = {"alarm", "mild", *page.KINDS, *page.DRAWN}
    named = set(re.findall(r"\.([a-z][\w-]*)", css))
    assert {name for name in named - made if not re.search(rf"\b{name}\b", others)} == set()
    variables = set(re.findall(r"(--[\w-]+):", css))
    assert {name for name in variables if f"var({name})" not in css} == set()


def test_a_scale_has_round_marks_and_holds_all_values() -> None:
    scale = Scale([-0.013, 0.071], 0.002)
    assert scale.ticks == [-0.04, 0.0, 0.04, 0.08]
    assert (scale.at(0.08), scale.at(-0.04)) == (0, 100)


def test_the_axis_holds_all_days() -> None:
    axis = Axis("2013-04-01", "2013-12-31")
    assert (axis.days, axis.at("2013-04-01"), axis.at("2013-12-31", plus=1)) == (275, 0, 100)
    assert [name for _, name in axis.months()][0::8] == ["April", "December"]


PARTS = {  # of the style sheet's colours: the least contrast with both grounds
    "loop weekly good bad mild fault ink quiet": 4.5,  # text
    "frozen ok unknown cool training experiment promotion focus": 3.0,  # graphics
}


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_colours_stand_out_from_their_ground(scheme: int) -> None:
    css = (Path(page.__file__).with_name("templates") / "page.css").read_text(encoding="utf-8")
    colours = dict(re.findall(r"--([\w-]+): (#\w+)", re.findall(r":root \{(.*?)\}", css, re.DOTALL)[scheme]))
    named = {name: least for names, least in PARTS.items() for name in names.split()}
    assert {*named} | {"paper", "card", "rule", "grid"} == {*colours}
    faint = {
        (name, ground)
        for name, least in named.items()
        for ground in ("paper", "card")
        if contrast(colours[name], colours[ground]) < least
    }
    assert faint == set()
