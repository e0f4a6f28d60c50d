"""The page says what the tables say, needs nothing but itself, and can be used by eye, keyboard and screen reader."""

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa

from level4_deployment.experiment import experiment_store, labels
from level4_deployment.prediction_log import INFERENCE_BATCHES, LABELS, PREDICTIONS, QUARANTINE, open_log
from level5_monitoring import report
from level5_monitoring.calendar_policies import FILE, POLICIES
from level5_monitoring.dashboard import page
from level5_monitoring.dashboard.chart import Axis, Scale
from level5_monitoring.dashboard.data import Week, Year, gather
from level5_monitoring.loop import loop_store
from level5_monitoring.loop.alerts import Alert
from level5_monitoring.loop.policy import Decision
from level5_monitoring.monitors.monitor_result import MonitorResult
from shared.settings import read_settings
from tests.level5.browser import Scheme, opened

DAYS = [str(day.date()) for day in pd.date_range("2013-04-01", periods=21)]
A_DAY = 8  # flights
CLOCK = 1_000_000.0  # of the machine, when the first day is asked for; a day takes 100 s
CHANCES = np.linspace(0.05, 0.95, A_DAY)
LATE = [0, 0, 1, 0, 1, 0, 1, 1]


@pytest.fixture
def log(tmp_path: Path) -> sa.Engine:
    """Three weeks in which a column drifts, a contract breaks, and version 2 replaces version 1."""
    engine = open_log(f"sqlite:///{tmp_path / 'log.db'}")
    with engine.begin() as connection:
        for i, day in enumerate(DAYS):
            connection.execute(PREDICTIONS.insert(), [answer(day, j, CLOCK + 100 * i) for j in range(A_DAY)])
            told = [{"flight_id": f"{day}-{j}", "late": LATE[j], "known_at": 0.0, "received_at": 0.0} for j in range(7)]
            connection.execute(LABELS.insert(), told)
        end = pd.Timestamp("2013-04-22", tz="America/New_York").timestamp()
        connection.execute(labels.WATERMARKS.insert(), {"name": "labels", "watermark": end})
    for day in DAYS[:18]:
        decide(engine, day)
    return engine


def answer(day: str, number: int, asked_at: float, probability: float | None = None) -> dict[str, object]:
    departs = pd.Timestamp(f"{day} 06:00", tz="America/New_York").timestamp() + 3600 * number
    return {
        "request_id": f"{day}-{number}-{asked_at}-{probability}",
        "flight_id": f"{day}-{number}",
        "departs_at": departs,
        "asked_at": asked_at + number,
        "request_payload": "{}",
        "arm": "champion",
        "propensity": 1.0,
        "version": 1,
        "probability": CHANCES[number] if probability is None else probability,
        "fallback": "",
        "seconds": 0.01,
    }


def decide(log: sa.Engine, day: str) -> None:
    """A quiet day; but the contract breaks on 10 April, and a training is decided upon on the 12th."""
    broken = MonitorResult(day, "contract", "temp", "alarm", "<b>half</b> of temp is missing", 8, 0.5, 0.1)
    found = [broken if day == "2013-04-10" else MonitorResult(day, "contract", "temp", "ok", "as ever", 8, 0.0, 0.1)]
    if pd.Timestamp(day).weekday() == 6:
        found += [MonitorResult(day, "drift", "dewp", "ok", "near", 56, 0.05, 0.1)]
        found += [MonitorResult(day, "drift", "temp", "alarm", "far", 56, 0.4, 0.1)]
    if day == "2013-04-10":
        alert = Alert(f"{day}-a", day, "page", "contract alarm begins", broken.message)
        loop_store.record_decision(
            log, Decision(day, "halt_experiment", "broken", (broken,), "contract", (broken,)), found, [alert]
        )
    elif day == "2013-04-12":
        loop_store.record_decision(log, Decision(day, "retrain", "it is old", (), "age"), found, [])
    else:
        loop_store.record_decision(log, Decision(day, "no_action", "all is well"), found, [])
    loop_store.close_decision(log, day, {"version": 2} if day == "2013-04-12" else {})


def promote(log: sa.Engine, before: int | None, after: int, at: float) -> None:
    number = experiment_store.begin_act(log, "loop", experiment_store.PROMOTE, (before, after), "better")
    experiment_store.end_act(log, number)
    with log.begin() as connection:
        audit = experiment_store.AUDIT
        connection.execute(audit.update().where(audit.c.number == number).values(at=at))


def by_calendar(home: Path, probability: float = 0.4) -> None:
    flights = [f"{day}-{j}" for day in DAYS for j in range(A_DAY)]
    table = pd.DataFrame({"flight_id": flights, "week": "", "late": 0.0, **dict.fromkeys(POLICIES, probability)})
    table.to_parquet(home / FILE)


def loss(chances: "np.ndarray[tuple[int], np.dtype[np.float64]]", late: list[int]) -> float:
    return float(np.mean(-np.log(np.where(np.asarray(late) == 1, chances, 1 - chances))))


def test_a_weeks_loss_is_the_mean_over_its_flights_with_an_outcome(log: sa.Engine, tmp_path: Path) -> None:
    week = gather(log, tmp_path, {}).weeks[0]
    assert (week.monday, week.rows) == ("2013-04-01", 7 * 7)
    assert week.loss == {"loop": pytest.approx(loss(CHANCES[:7], LATE[:7]))}


def test_only_the_first_answer_counts_and_no_outcome_that_is_disputed(log: sa.Engine, tmp_path: Path) -> None:
    with log.begin() as connection:
        connection.execute(PREDICTIONS.insert(), [answer("2013-04-02", 0, CLOCK + 9e5, 0.999)])
        disputed = {"flight_id": "2013-04-03-6", "late": 0, "known_at": 0.0, "received_at": 0.0}
        connection.execute(QUARANTINE.insert(), disputed)
    week = gather(log, tmp_path, {}).weeks[0]
    assert week.rows == 48
    whole = 49 * loss(CHANCES[:7], LATE[:7])
    assert week.loss["loop"] == pytest.approx((whole + np.log(CHANCES[6])) / 48)


def test_all_policies_are_compared_on_the_same_flights(log: sa.Engine, tmp_path: Path) -> None:
    by_calendar(tmp_path)
    year = gather(log, tmp_path, {})
    assert year.compared
    constant = loss(np.full(7, 0.4), LATE[:7])
    assert page.overall(year) == {
        "loop": pytest.approx(loss(CHANCES[:7], LATE[:7])),
        "weekly": pytest.approx(constant),
        "frozen": pytest.approx(constant),
    }
    assert "The loop alone" not in page.render(year)


def test_without_the_policies_by_the_calendar_it_says_so(log: sa.Engine, tmp_path: Path) -> None:
    assert "The loop alone" in page.render(gather(log, tmp_path, {}))


def test_weeks_that_are_settled_are_not_read_again(log: sa.Engine, tmp_path: Path) -> None:
    done: dict[str, Week] = {}
    whole = gather(log, tmp_path, {}, done)
    assert sorted(done) == ["2013-04-01", "2013-04-08"]  # five days after a week's end, no outcome of it is missing
    with log.begin() as connection:
        connection.execute(PREDICTIONS.delete().where(PREDICTIONS.c.flight_id < "2013-04-15"))
    assert gather(log, tmp_path, {}, done).weeks == whole.weeks


def test_the_file_says_how_the_other_pages_are_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"MLOPS_STATE": str(tmp_path), "MLOPS_WORKSPACE": "level5", "PREDICTION_LOG": ""}.items():
        monkeypatch.setenv(name, value)
    settings = read_settings()
    report.draw_page(settings)
    text = (settings.level("level5") / page.FILE).read_text(encoding="utf-8")
    assert "MLflow and Prefect: <code>MLOPS_WORKSPACE=level5 make ui</code>" in text
    assert "Evidently: <code>MLOPS_WORKSPACE=level5 make reports</code>" in text


def test_a_promotion_is_told_on_the_day_that_was_being_predicted(log: sa.Engine, tmp_path: Path) -> None:
    promote(log, None, 1, CLOCK - 50)
    promote(log, 1, 2, CLOCK + 100 * 13 + 50)
    year = gather(log, tmp_path, {})
    assert [(one.day, one.title) for one in year.events if one.kind == "promotion"] == [
        ("2013-04-01", "Version 1 promoted"),
        ("2013-04-14", "Version 2 promoted"),
    ]
    assert year.champion["version"] == "2"
    assert year.champion["since"] == "2013-04-14"
    assert "since Sun 14 Apr, after version 1" in page.render(year)


def test_an_alert_can_be_opened_down_to_its_evidence(log: sa.Engine, tmp_path: Path) -> None:
    [alert] = [one for one in gather(log, tmp_path, {}).events if one.kind == "alert"]
    assert (alert.day, alert.title, alert.state) == ("2013-04-10", "Contract alarm begins", "bad")
    assert [(one["target"], one["value"], one["threshold"]) for one in alert.findings] == [("temp", 0.5, 0.1)]


def test_an_alarm_that_begins_shows_its_own_findings_whatever_was_decided(log: sa.Engine, tmp_path: Path) -> None:
    """On a day that a broken contract stops, drift begins as well; another column has drifted since the last week."""
    before, day = DAYS[18:20]
    old = MonitorResult(before, "drift", "temp", "alarm", "far", 56, 0.4, 0.1)
    new = MonitorResult(day, "drift", "humid", "alarm", "far as well", 56, 0.2, 0.1)
    broken = MonitorResult(day, "contract", "visib", "alarm", "stands still", 8, 0.9, 0.1)
    loop_store.record_decision(log, Decision(before, "notify", "it drifts", (old,), "drift", (old,)), [], [])
    told = [Alert(f"{day}-{of}", day, "page", f"{of} alarm begins", "off") for of in ("contract", "drift")]
    loop_store.record_decision(
        log, Decision(day, "halt_experiment", "broken", (broken,), "contract", (broken, new, old)), [broken, new], told
    )
    events = gather(log, tmp_path, {}).events
    shown = {one.title: [found["target"] for found in one.findings] for one in events if one.day == day}
    assert shown == {"Contract alarm begins": ["visib"], "Drift alarm begins": ["humid"]}
    assert [one.facts["decision of the day"] for one in events if one.day == day] == ["halt_experiment: broken"] * 2


def test_challengers_that_are_late_within_what_is_tolerated_are_no_trouble(log: sa.Engine, tmp_path: Path) -> None:
    def health(failed: int) -> tuple[str, bool]:
        row = {"version": 2, "experiment": "e", "rows": 5000, "failed": failed, "seconds": 1.0, "slow": 0}
        with log.begin() as connection:
            connection.execute(INFERENCE_BATCHES.insert(), [row])
        found = {one.what: one for one in gather(log, tmp_path, {}).health}["challenger rows without a score in time"]
        return found.stands, found.well

    assert health(45) == ("45 of 5,000", True)
    assert health(60) == ("105 of 10,000", False)


def test_what_findings_say_is_text_and_never_markup(log: sa.Engine, tmp_path: Path) -> None:
    told = page.render(gather(log, tmp_path, {"<i>": "javascript:alert(1)"}))
    assert "&lt;b&gt;half&lt;/b&gt;" in told
    assert "<b>half" not in told
    assert 'href="javascript:' not in told


def test_columns_that_drift_farthest_come_first_and_are_hot(log: sa.Engine, tmp_path: Path) -> None:
    year = gather(log, tmp_path, {})
    assert list(year.drift) == ["temp", "dewp"]
    assert page.shade(year.drift["temp"]["2013-04-07"]) == "h6"
    assert page.shade(year.drift["dewp"]["2013-04-07"]) == "h1"


def test_days_in_one_state_are_drawn_as_one(log: sa.Engine, tmp_path: Path) -> None:
    runs = page.draw(gather(log, tmp_path, {}))["states"]["contract"]
    assert [(state, first, last) for *_, state, first, last in runs] == [
        ("ok", "2013-04-01", "2013-04-09"),
        ("alarm", "2013-04-10", "2013-04-10"),
        ("ok", "2013-04-11", "2013-04-18"),
    ]


def test_before_the_first_flight_there_is_a_page_too(tmp_path: Path) -> None:
    year = gather(open_log(f"sqlite:///{tmp_path / 'log.db'}"), tmp_path, {})
    told = page.render(year)
    assert "The first model is being trained." in told
    assert "No day is closed yet." in told


class Links(HTMLParser):
    """Every address that a browser would load by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loaded += [value or "" for name, value in attrs if name == "src" or (tag == "link" and name == "href")]


def test_the_file_needs_nothing_but_itself(log: sa.Engine, tmp_path: Path) -> None:
    text = page.write(gather(log, tmp_path, {}), tmp_path).read_text(encoding="utf-8")
    parser = Links()
    parser.feed(text)
    assert parser.loaded == ["data:,"]
    assert not re.search(r"@import|url\(", text)


@pytest.fixture
def full(log: sa.Engine, tmp_path: Path) -> Year:
    """A year with all that a page may show."""
    by_calendar(tmp_path)
    promote(log, None, 1, CLOCK)
    return gather(log, tmp_path, {"MLflow": "http://127.0.0.1:5000", "Prefect": "make ui"})


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
                before = shown.inner_text("#week-says")
                shown.keyboard.press("ArrowLeft")
                assert shown.inner_text("#week-says") != before
            if reached[-1]["at"] == "body":
                break
            if reached[-1]["name"].startswith("Wed 10 Apr"):
                shown.keyboard.press("Enter")
                assert shown.locator("details p", has_text="half</b> of temp is missing").is_visible()
        names = [one["name"] for one in reached if one["at"] != "body"]
        assert names[0] == "Skip to the year"
        assert {"Week", "The figures", "MLflow"} <= {*names}
        assert any("Contract alarm begins" in name for name in names)
        assert all(names)
        assert all(one["outlined"] for one in reached if one["at"] != "body")


@pytest.mark.slow
def test_a_mark_on_the_time_line_opens_its_event(full: Year, tmp_path: Path) -> None:
    with opened(page.write(full, tmp_path).as_uri(), 360) as shown:
        shown.click(".lane.training a")
        assert shown.locator("details p", has_text="it is old").is_visible()


def test_a_scale_has_round_marks_and_holds_all_values() -> None:
    scale = Scale.of([-0.013, 0.071], 0.002)
    assert scale.marks == [-0.04, 0.0, 0.04, 0.08]
    assert (scale.at(0.08), scale.at(-0.04)) == (0, 100)


def test_the_axis_holds_all_days() -> None:
    axis = Axis.of("2013-04-01", "2013-12-31")
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
    const says = `${at.tagName} ${at.className} ${at.textContent.trim().slice(0, 30)}`;
    if (contrast < 4.5) faint.push(`${says} ${contrast.toFixed(2)}`);
  }
  return faint;
}"""
