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

from level4_deployment import client, experiments, log
from level5_monitoring import home, page, policy, record
from level5_monitoring.alerts import Alert
from level5_monitoring.compared import LOOP, Counted
from level5_monitoring.worth import FILE
from shared.console import console, show_table, step
from shared.errors import UserError
from shared.settings import Settings

BY_HAND = ("operator", "registry")  # who acts on the platform when a person does, or somebody past it


def empty_homes(settings: Settings) -> Path:
    """Empty folders of this level and its platform; what the last run left is kept beside them, until the next."""
    own, before = home.own(settings), settings.state / "level5-before"
    if client.runs(home.platform(settings)):
        raise UserError(f"a platform runs in {own}. Remedy: make down, or end it with Ctrl-C first.")
    if elsewhere := os.environ.get("PREDICTION_LOG"):
        with log.open_log(elsewhere).connect() as connection:
            if connection.execute(sa.select(log.PREDICTIONS.c.request_id).limit(1)).first():
                raise UserError("PREDICTION_LOG: this log has answers already. Remedy: an empty one, or none.")
    shutil.rmtree(before, ignore_errors=True)
    own.rename(before)
    home.own(settings)
    return home.platform(settings)


@contextmanager
def trained_by_calendar(settings: Settings) -> Iterator["subprocess.Popen[bytes]"]:
    """Train the other policies' models in a process beside this one, while the block runs."""
    with (home.own(settings) / "worth.log").open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "level5_monitoring.worth"],
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
    own = home.own(settings)
    with step("Wait for the models of the other policies"):
        if process.wait():
            raise UserError(f"the policies by the calendar are not there. Remedy: see {own / 'worth.log'}")
    others = pd.read_parquet(own / FILE)
    query = sa.select(log.PREDICTIONS.c.flight_id, log.PREDICTIONS.c.probability).order_by(log.PREDICTIONS.c.asked_at)
    with home.open_log(settings).connect() as connection:
        loop = pd.DataFrame(connection.execute(query).all(), columns=["flight_id", LOOP]).drop_duplicates("flight_id")
    return others.merge(loop, on="flight_id", how="left", validate="one_to_one")


@dataclass(frozen=True)
class Decided:
    """The year's decisions, as the record has them, in words and numbers."""

    days: int
    findings: int
    promoted: int
    counted: Counted
    alarms: str
    kinds: str
    alerts: str
    drift: str


def show_decisions(settings: Settings) -> Decided:
    """Print every decision that changed something, with what came of it."""
    engine = home.open_log(settings)
    decisions, seen = record.decisions(engine), record.findings(engine)
    acts = [one for one in decisions if one["kind"] not in ("nothing", "inform", "hold")]
    rows = [
        [one["day"], one["kind"], one["cause"], str(one["result"].get("version", "")), one["reason"]] for one in acts
    ]
    show_table("Decisions that changed something", ["Day", "Decision", "Cause", "Version", "Why"], rows)
    kinds = Counter(one["kind"] for one in decisions)
    done = Counter(one["kind"] for one in acts if not one["result"].keys() & {policy.REFUSED, policy.FAILED})
    trained = Counter(one["kind"] for one in acts if policy.FAILED not in one["result"])
    alarms = Counter(one.monitor for one in seen if one.state == "alarm")
    drifting = Counter(one.subject for one in seen if one.state == "alarm" and one.monitor == "drift")
    alerts = record.alerts(engine)
    told = Counter(alert.severity for alert in alerts)
    return Decided(
        days=len(decisions),
        findings=len(seen),
        promoted=done["promote"],
        counted=Counted(
            trainings=1 + trained["retrain"],
            steps=sum(act["who"] in BY_HAND for act in experiments.acts(engine)),
            alerts=len(alerts),
            false_alarms=false_alarms(acts, experiments.find(engine), alerts),
        ),
        alarms="alarms: " + ", ".join(f"{monitor} {count}" for monitor, count in alarms.most_common()),
        kinds=", ".join(f"{kind} {count}" for kind, count in kinds.most_common()),
        alerts=f"{', '.join(f'{count} {severity}' for severity, count in told.most_common())}; "
        f"{len(alerts) - record.undelivered(engine)} of {len(alerts)} delivered",
        drift=", ".join(f"{name} in {count} weeks" for name, count in drifting.most_common(3)),
    )


def false_alarms(acts: list[dict[str, Any]], tried: list[experiments.Experiment], alerts: list[Alert]) -> int:
    """Alarms that nothing was behind, as far as can be told of a year into which nobody put a fault.

    Data, labels or a champion that somebody was paged for; promises said to be broken whose challenger was no better.
    """
    paged = sum(alert.severity == "page" for alert in alerts)
    promoted = {one["result"].get("version") for one in acts if one["kind"] == "promote"}
    over = {one.challenger for one in tried if one.state not in (experiments.RUNNING, experiments.APPROVAL)}
    broken = {one["result"].get("version") for one in acts if one["cause"] == "performance"}
    return paged + len(broken & over - promoted)


def draw_page(settings: Settings) -> None:
    """Write the year on one page."""
    own = home.own(settings)
    with step("Draw the year on one page"):
        file = page.write(page.gather(home.open_log(settings), own, page.commands(settings)), own)
    console.print(f"  the year on one page: {file}")
