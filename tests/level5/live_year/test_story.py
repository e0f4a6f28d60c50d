"""The story of the year has a line for what changes something, under the night in which it happened, and none daily."""

from dataclasses import replace

import pandas as pd
import pytest

from level4_deployment.control import audit
from level4_deployment.experiment import experiment_store
from level4_deployment.replay_client import ReplayStats
from level5_monitoring import config
from level5_monitoring.live_year import faulty_year
from level5_monitoring.live_year.faulty_year import FaultyTables
from level5_monitoring.live_year.story import Story
from level5_monitoring.live_year.year_record import read_faults
from level5_monitoring.loop import loop_store
from level5_monitoring.loop.policy import Decision
from level5_monitoring.monitors.monitor_result import MonitorResult
from shared.console import console
from shared.data.replay import Tick
from shared.settings import NEW_YORK, Settings
from tests.factories import monitor_result


def night_of(day: str) -> Tick:
    end, empty = pd.Timestamp(day, tz=NEW_YORK).tz_convert("UTC"), pd.DataFrame()
    return Tick(end - pd.Timedelta(hours=12), end, empty, empty)


def test_faults_alarms_and_models_have_a_line_each_in_order_of_nights(
    level5_settings: Settings,
    flights: pd.DataFrame,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(console, "width", 200)
    monkeypatch.setattr(faulty_year, "load_flights", lambda _settings: flights)
    tables, home = FaultyTables(level5_settings), config.own(level5_settings)
    alarm = monitor_result("contract", target="airport_delay_1h", day="2013-07-15")
    other = replace(alarm, target="carrier_delay_4h")
    refused: dict[str, object] = {
        "refused": "version 2 is refused: quality: log loss 0.6, version 1 0.5. Remedy: train another version."
    }
    with config.open_log(level5_settings) as log:
        story = Story(log, home, tables)

        def decided(decision: Decision, result: dict[str, object], *alarms: MonitorResult) -> None:
            one = replace(decision, alarms=alarms)
            loop_store.record_decision(log, one, [], [])
            loop_store.close_decision(log, one.day, result)
            story.print_decision(one)

        story.print_night(night_of("2013-07-14"), ReplayStats())
        story.print_night(night_of("2013-07-15"), ReplayStats(flights=1234))
        decided(Decision("2013-07-14", "no_action", "all is well"), {})
        for day in ("2013-07-15", "2013-07-16"):
            decided(Decision(day, "stop_experiment", "a unit", cause="contract"), {}, alarm, other)
        story.print_night(night_of("2013-07-25"), ReplayStats())
        decided(Decision("2013-07-28", "retrain", "grown", cause="growth"), {"version": 2})
        decided(Decision("2013-07-29", "retrain", "bad", cause="performance"), {"version": 2})
        story.print_night(night_of("2013-08-01"), ReplayStats(flights=1234))
        tables.spoiled = "2013-08-03"
        decided(Decision("2013-08-01", "retrain", "grown", cause="growth"), refused)
        audit.record(log, audit.Action("platform", audit.END, "worse", 3, "3-against-1", "running", "rejected"))
        story.print_night(night_of("2013-08-04"), ReplayStats())
        decided(Decision("2013-08-03", "promote", "it is better"), {"version": 2, "experiment": "2-against-1"})
        decided(Decision("2013-08-04", "roll_back", "it is worse"), {"version": 1})
        assert experiment_store.find(log) == []
    assert [line.strip() for line in capsys.readouterr().out.splitlines()] == [
        "15 Jul fault begins: recent delays in hours, everywhere",
        "17 Jul contract alarm: airport_delay_1h and 1 more on 15 Jul; no training",
        "25 Jul fault ends: recent delays in hours",
        "30 Jul contract alarm over: later trainings leave its 2 days out",
        "31 Jul retrained (performance): version 2 passed the gates",
        "01 Aug 1,234 flights answered, 0 requests failed",
        "03 Aug fault: this training has learnt labels of other flights",
        "03 Aug retrained (growth): refused; the champion keeps serving",
        "04 Aug version 3 rejected: worse",
        "05 Aug version 2 promoted",
        "06 Aug rolled back: to version 1; it is worse",
    ]
    assert [(one.fault, one.day, one.until) for one in read_faults(home)] == [
        ("hours", "2013-07-15", "2013-07-24"),
        ("spoiled training", "2013-08-03", "2013-08-03"),
    ]
