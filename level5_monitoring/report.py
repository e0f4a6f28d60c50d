"""What `make level5` shows: what was decided, and what of it came about."""

import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import sqlalchemy as sa

from level4_deployment import prediction_log
from level4_deployment.control import client
from level4_deployment.experiment import experiment_store
from level5_monitoring import config
from level5_monitoring.calendar_policies import FILE
from level5_monitoring.dashboard import page
from level5_monitoring.loop import loop_store, outbox, policy
from level5_monitoring.loop.alerts import Alert
from level5_monitoring.policy_comparison import LOOP, LoopCounts
from shared.console import console, show_table, step
from shared.errors import UserError
from shared.settings import Settings

BY_HAND = ("operator", "registry")  # who acts on the platform when a person does, or somebody past it


def empty_homes(settings: Settings) -> Path:
    """Empty folders of this level and its platform; what the last run left is kept beside them, until the next."""
    own, before = config.own(settings), settings.state / "level5-before"
    if client.is_running(config.platform(settings)):
        raise UserError(f"a platform runs in {own}. Remedy: make down, or end it with Ctrl-C first.")
    if elsewhere := os.environ.get("PREDICTION_LOG"):
        with prediction_log.open_log(elsewhere).connect() as connection:
            if connection.execute(sa.select(prediction_log.PREDICTIONS.c.request_id).limit(1)).first():
                raise UserError("PREDICTION_LOG: this log has answers already. Remedy: an empty one, or none.")
    shutil.rmtree(before, ignore_errors=True)
    own.rename(before)
    config.own(settings)
    return config.platform(settings)


@contextmanager
def trained_by_calendar(settings: Settings) -> Iterator["subprocess.Popen[bytes]"]:
    """Train the other policies' models in a process beside this one, while the block runs."""
    with (config.own(settings) / "worth.log").open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "level5_monitoring.calendar_policies"],
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(timeout=30)


def answered(settings: Settings, process: "subprocess.Popen[bytes]") -> pd.DataFrame:
    """One row per labelled flight: what each policy said of it, the loop's as it was answered to users."""
    own = config.own(settings)
    with step("Wait for the models of the other policies"):
        if process.wait():
            raise UserError(f"the policies by the calendar are not there. Remedy: see {own / 'worth.log'}")
    others = pd.read_parquet(own / FILE)
    query = sa.select(prediction_log.PREDICTIONS.c.flight_id, prediction_log.PREDICTIONS.c.probability).order_by(
        prediction_log.PREDICTIONS.c.asked_at
    )
    with config.open_log(settings).connect() as connection:
        loop = pd.DataFrame(connection.execute(query).all(), columns=["flight_id", LOOP]).drop_duplicates("flight_id")
    return others.merge(loop, on="flight_id", how="left", validate="one_to_one")


@dataclass(frozen=True)
class YearSummary:
    """The year's decisions, as the record has them, in words and numbers."""

    days: int
    findings: int
    promoted: int
    counted: LoopCounts
    alarms: str
    kinds: str
    alerts: str
    drift: str


def show_decisions(settings: Settings) -> YearSummary:
    """Print every decision that changed something, with what came of it."""
    engine = config.open_log(settings)
    decisions, seen = loop_store.decisions(engine), loop_store.monitor_results(engine)
    acts = [one for one in decisions if one["kind"] not in ("no_action", "notify", "defer")]
    rows = [
        [one["day"], one["kind"], one["cause"], str(one["result"].get("version", "")), one["reason"]] for one in acts
    ]
    show_table("Decisions that changed something", ["Day", "Decision", "Cause", "Version", "Why"], rows)
    kinds = Counter(one["kind"] for one in decisions)
    done = Counter(one["kind"] for one in acts if not one["result"].keys() & {policy.REFUSED, policy.FAILED})
    trained = Counter(one["kind"] for one in acts if policy.FAILED not in one["result"])
    alarms = Counter(one.monitor for one in seen if one.state == "alarm")
    drifting = Counter(one.target for one in seen if one.state == "alarm" and one.monitor == "drift")
    alerts = outbox.alerts(engine)
    told = Counter(alert.severity for alert in alerts)
    return YearSummary(
        days=len(decisions),
        findings=len(seen),
        promoted=done["promote"],
        counted=LoopCounts(
            trainings=1 + trained["retrain"],
            steps=sum(act["actor"] in BY_HAND for act in experiment_store.acts(engine)),
            alerts=len(alerts),
            false_alarms=false_alarms(acts, experiment_store.find(engine), alerts),
        ),
        alarms="alarms: " + ", ".join(f"{monitor} {count}" for monitor, count in alarms.most_common()),
        kinds=", ".join(f"{kind} {count}" for kind, count in kinds.most_common()),
        alerts=f"{', '.join(f'{count} {severity}' for severity, count in told.most_common())}; "
        f"{len(alerts) - outbox.undelivered(engine)} of {len(alerts)} delivered",
        drift=", ".join(f"{name} in {count} weeks" for name, count in drifting.most_common(3)),
    )


def false_alarms(acts: list[dict[str, Any]], tried: list[experiment_store.Experiment], alerts: list[Alert]) -> int:
    """Alarms that nothing was behind, as far as can be told of a year into which nobody put a fault.

    Data, labels or a champion that somebody was paged for; promises said to be broken whose challenger was no better.
    """
    paged = sum(alert.severity == "page" for alert in alerts)
    promoted = {one["result"].get("version") for one in acts if one["kind"] == "promote"}
    over = {one.challenger for one in tried if one.state not in (experiment_store.RUNNING, experiment_store.APPROVAL)}
    broken = {one["result"].get("version") for one in acts if one["cause"] == "performance"}
    return paged + len(broken & over - promoted)


def draw_page(settings: Settings) -> None:
    """Write the year on one page."""
    own = config.own(settings)
    with step("Draw the year on one page"):
        file = page.write(page.gather(config.open_log(settings), own, page.commands(settings)), own)
    console.print(f"  the year on one page: {file}")
