"""A carrier that is renamed for good stops the loop until a person accepts its code; its limits are learnt anew."""

import argparse
from collections.abc import Iterator

import pandas as pd
import pytest
import sqlalchemy as sa

from level4_deployment.control import audit
from level4_deployment.prediction_log import PREDICTIONS
from level5_monitoring import cli, config
from level5_monitoring.loop import loop_store, policy
from level5_monitoring.loop.accept import accept, accepted_codes, normal_for
from level5_monitoring.loop.alerts import alerts_of
from level5_monitoring.loop.policy import Decision
from level5_monitoring.loop.policy_state import load_policy_state
from level5_monitoring.monitors.data_quality import check_contract
from level5_monitoring.monitors.drift import check_drift
from level5_monitoring.monitors.monitor_result import MonitorResult
from level5_monitoring.monitors.reference import Reference, build_reference
from level5_monitoring.monitors.window import is_end_of_week, read_window, week_of
from shared.errors import UserError
from shared.settings import Settings, user
from tests.factories import insert, monitor_result, predictions_of

RENAMED = "2013-05-14"  # United's new code from this day on
OLD, NEW = "UA", "U2"


@pytest.fixture(scope="module")
def thin(known: pd.DataFrame) -> Reference:
    """What every sixth flight of the history looks like."""
    return build_reference(known.iloc[::6])


@pytest.fixture
def renamed(flights: pd.DataFrame, thin: Reference, level5_settings: Settings) -> Iterator[sa.Engine]:
    """The log of six weeks in which a carrier is renamed, of every sixth flight."""
    thin.save(config.own(level5_settings))
    day = flights["flight_id"].str[:10]
    weeks = flights[day.between("2013-05-06", "2013-06-16")].iloc[::6]
    new = (weeks["carrier"] == OLD) & (weeks["flight_id"].str[:10] >= RENAMED)
    with config.open_log(level5_settings) as log:
        insert(log, PREDICTIONS, predictions_of(weeks.assign(carrier=weeks["carrier"].mask(new, NEW))))
        yield log


def turn(log: sa.Engine, reference: Reference, day: str) -> tuple[Decision, list[MonitorResult]]:
    """The real monitors of inputs, and the decision of the day, on record as carried out."""
    normal = normal_for(day, reference, accepted_codes(log), log)
    results = check_contract(read_window(log, day, day), normal, day)
    if is_end_of_week(day):
        results += check_drift(read_window(log, week_of(day)[0], day), normal, day)
    decision = policy.decide(day, results, load_policy_state(log, day))
    loop_store.record_decision(log, decision, results, [])
    loop_store.close_decision(log, day, {})
    return decision, results


def of_carrier(results: list[MonitorResult]) -> dict[str, str]:
    """The state of each monitor that looks at the carrier."""
    return {one.monitor: one.state for one in results if one.target == "carrier"}


def test_the_loop_goes_on_after_a_person_has_accepted_the_code(renamed: sa.Engine, thin: Reference) -> None:
    assert turn(renamed, thin, "2013-05-13")[0].kind == "no_action"
    for day in (RENAMED, "2013-05-15"):
        decision, results = turn(renamed, thin, day)
        assert (decision.kind, of_carrier(results)["contract"]) == ("stop_experiment", "alarm")
    assert [one.day for one in load_policy_state(renamed, "2013-05-16").in_doubt] == [RENAMED, "2013-05-15"]
    for code in ("QQ", "B6", ""):  # that no flight has, or that is normal
        refused = f"CARRIER='{code}'.*of 2013-05-15; new are: {NEW}. Remedy: make accept CARRIER="
        with pytest.raises(UserError, match=refused):
            accept(renamed, thin, "carrier", code, "a mistake")

    cli.accept(argparse.Namespace(column="carrier", code=NEW, reason="merger"))
    accept(renamed, thin, "carrier", NEW, "once more, which changes nothing")

    [made] = accepted_codes(renamed)
    assert (made.code, made.since, made.until) == (NEW, RENAMED, "2013-05-15")
    [row] = audit.trail(renamed)
    assert (row["actor"], row["new_value"], row["reason"]) == (user(), f"carrier {NEW} since {RENAMED}", "merger")
    assert load_policy_state(renamed, "2013-05-16").in_doubt == (), "its days may be learned from"
    for day, told in (("2013-05-16", ["contract alarm is over"]), ("2013-05-17", [])):
        state = load_policy_state(renamed, day)
        decision, results = turn(renamed, thin, day)
        assert [one.title for one in alerts_of(decision, state, "level5")] == told
        assert (decision.kind, of_carrier(results)["contract"]) == ("no_action", "ok")
    assert of_carrier(turn(renamed, thin, "2013-05-19")[1]) == {"contract": "ok", "drift": "alarm"}
    assert of_carrier(turn(renamed, thin, "2013-06-16")[1]) == {"contract": "ok", "drift": "ok"}, "learnt anew"

    day = "2013-06-17"
    wrong = monitor_result("contract", target="carrier", day=day)
    loop_store.record_decision(renamed, Decision(day, "stop_experiment", "other codes", alarms=(wrong,)), [wrong], [])
    assert [one.day for one in load_policy_state(renamed, "2013-06-18").in_doubt] == [day], "a later alarm counts"
