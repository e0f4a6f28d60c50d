"""What `make level5` shows: what normal days look like, and what the year was worth beside policies by the calendar."""

import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import sqlalchemy as sa

from level4_deployment import client, experiments, log
from level5_monitoring import home, page, policy, record
from level5_monitoring.worth import FILE, POLICIES, first_of_month
from shared.console import console, show_table, step
from shared.errors import UserError
from shared.score import Score, by_slice, score
from shared.settings import Settings

LOOP = "loop"
BY_HAND = ("operator", "registry")  # who acts on the platform when a person does
NAMES = {
    "frozen": "never retrained",
    "monthly": "each month, by hand",
    "weekly": "each week, by the clock",
    LOOP: "when needed, by the loop",
}


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
    trainings: int
    steps: int  # of a person, or of somebody past the platform
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
    told = Counter(alert.severity for one in decisions for alert in record.alerts(engine, one["day"]))
    return Decided(
        days=len(decisions),
        findings=len(seen),
        promoted=done["promote"],
        trainings=1 + trained["retrain"],
        steps=sum(act["who"] in BY_HAND for act in experiments.acts(engine)),
        alarms="alarms: " + ", ".join(f"{monitor} {count}" for monitor, count in alarms.most_common()),
        kinds=", ".join(f"{kind} {count}" for kind, count in kinds.most_common()),
        alerts=", ".join(f"{count} {severity}" for severity, count in told.most_common()),
        drift=", ".join(f"{name} in {count} weeks" for name, count in drifting.most_common(3)),
    )


def draw_page(settings: Settings) -> None:
    """Write the year on one page."""
    own = home.own(settings)
    with step("Draw the year on one page"):
        file = page.write(page.gather(home.open_log(settings), own, {}), own)
    console.print(f"  the year on one page: {file}")


def compare(loop: "Worth", weekly: "Worth") -> str:
    """The loop beside retraining each week."""
    more = loop.score.log_loss / weekly.score.log_loss - 1
    return f"log loss {more:+.1%} of weekly retraining's, with {loop.trainings} trainings instead of {weekly.trainings}"


def when_not(found: dict[str, "Worth"]) -> str:
    """What stands between doing nothing and doing it by hand, in this run's figures."""
    frozen, monthly, loop = (found[name].score.log_loss for name in ("frozen", "monthly", LOOP))
    return (
        f"never retrained {frozen:.4f}, by hand each month {monthly:.4f}, the loop {loop:.4f}: "
        "where a month's work a year is cheaper than this machinery, stop at level 3 or 4"
    )


@dataclass(frozen=True)
class Worth:
    """A policy on every labelled flight. trainings: the first included; steps: what people did for them."""

    score: Score
    trainings: int
    steps: int


def worth(table: pd.DataFrame, decided: Decided) -> dict[str, Worth]:
    """Score each policy on the flights that all of them have answered; decided: by the loop."""
    both = table.dropna(subset=[*POLICIES, LOOP])
    weeks = pd.DatetimeIndex(sorted(table["week"].unique()))
    trainings = {"frozen": 1, "monthly": sum(first_of_month(weeks)), "weekly": len(weeks), LOOP: decided.trainings}
    steps = {"monthly": trainings["monthly"], LOOP: decided.steps}
    return {
        name: Worth(score(both["late"], both[name]), count, steps.get(name, 0)) for name, count in trainings.items()
    }


def show_worth(table: pd.DataFrame, found: dict[str, Worth]) -> None:
    """Print what each policy was worth, over all and by month."""
    weekly = found["weekly"].score.log_loss
    rows = [
        [
            NAMES[policy],
            f"{one.score.log_loss:.4f}",
            f"{one.score.log_loss / weekly - 1:+.1%}",
            f"{one.score.auc:.4f}",
            f"{one.score.calibration_error:.4f}",
            str(one.trainings),
            str(one.steps),
        ]
        for policy, one in found.items()
    ]
    flights = next(iter(found.values())).score.rows
    columns = ["Retrained", "log loss", "to weekly", "AUC", "calibration error", "trainings", "steps by hand"]
    show_table(f"What it was worth, on {flights:,} labelled flights", columns, rows)
    months = table.assign(month=table["flight_id"].str[:7]).dropna(subset=[*POLICIES, LOOP])
    slices = {policy: by_slice(months, months[policy], "month") for policy in found}
    lines = [
        [
            str(month),
            f"{slices[LOOP].loc[month, 'rows']:,.0f}",
            *(f"{s.loc[month, 'log_loss']:.4f}" for s in slices.values()),
        ]
        for month in slices[LOOP].index
    ]
    show_table("Log loss by month of departure", ["", "flights", *found], lines)
