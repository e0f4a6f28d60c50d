"""`make stream`: the real flights of a span, and the labels that became known in it, go to a running platform."""

from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd

from level3_training_pipeline.tracking import registry
from level4_deployment.control.client import PlatformClient, read_addresses
from level4_deployment.control.registry_client import open_client
from level4_deployment.demo.console_view import ConsoleView
from level4_deployment.experiment.design import Plan, Verdict
from level4_deployment.experiment.experiment_store import RUNNING
from level4_deployment.experiment.labels import FURTHEST
from level4_deployment.replay_client import ReplayStats
from shared.console import console, step
from shared.data.flights import load_flights
from shared.data.replay import replay
from shared.errors import UserError
from shared.settings import LAST_TODAY, NEW_YORK, Settings


def earliest(client: PlatformClient, settings: Settings, home: Path) -> tuple[date, str]:
    """The first day that may be sent, and why no day before it; raises UserError where no version serves."""
    now = client.get("/status")
    if not now["routes"]:
        raise UserError(
            "no version serves, so nobody would answer. Remedy: make deliver VERSION=1 (LEVEL=5: make level5)."
        )
    routes, versions = now["routes"], open_client(settings, home)
    reasons = []
    for number in [routes[role]["version"] for role in ("champion", "challenger") if routes[role]]:
        learnt = registry.get(versions, str(number)).tags["today"]
        reasons.append(
            (date.fromisoformat(learnt), f"version {number} has learned from the flights before it (a leak)")
        )
    if now["watermark"]:
        reached = pd.Timestamp(now["watermark"], unit="s", tz=NEW_YORK).floor("D").date()
        reasons.append((reached, "the platform has had the flights before it already"))
    return max(reasons)


def span(begin: str, end: str, first: tuple[date, str]) -> tuple[date, date]:
    """The first day that is meant, and the day after the last: without a begin, the first possible; else a month.

    It ends with the year. Raises UserError for dates that are none, in the wrong order, or before the first possible.
    """
    day, why = first
    start = _day("FROM", begin) if begin else day
    if start >= LAST_TODAY:
        raise UserError(f"FROM={start}: the year is over. Remedy: a day of 2013, or make reset LEVEL=4 to begin anew.")
    stop = _day("TO", end) if end else (pd.Timestamp(start) + pd.DateOffset(months=1)).date()
    stop = min(stop, LAST_TODAY)
    if stop <= start:
        raise UserError(f"TO={stop} is not after FROM={start}. Remedy: a later TO, such as TO={LAST_TODAY}.")
    if start < day:
        raise UserError(f"FROM={start} is before {day}: {why}. Remedy: FROM={day}, or leave FROM out.")
    if (start - day).days * 86_400 > FURTHEST and "already" in why:
        raise UserError(f"FROM={start} leaves out more than a month since {day}. Remedy: FROM={day}.")
    return start, stop


def _day(name: str, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise UserError(f"{name}={text!r} is not a date. Remedy: YYYY-MM-DD, such as {name}=2013-05-01.") from error


def stream(settings: Settings, home: Path, begin: str, end: str) -> ReplayStats:
    """Send a span's flights and labels, show how the experiment goes, and end with its verdict or what it still needs.

    settings: those of the platform's level; home: the platform's folder.
    """
    with PlatformClient.at(home, "feed") as feed:
        days = span(begin, end, earliest(feed, settings, home))
        begin_at, end_at = (pd.Timestamp(day, tz=NEW_YORK).tz_convert("UTC") for day in days)
        with step("Load the year"):
            flights = load_flights(settings)
        before = [one["experiment"] for one in feed.get("/status")["experiments"] if one["state"] == RUNNING]
        view = ConsoleView(home, feed, shown=len(feed.get("/audit")))
        stats = view.replay(replay(flights, begin_at, end_at), read_addresses(home)["service"])
        console.print(f"{days[0]} to {days[1]}: {stats}; {stats.labels:,} labels sent.")
        for one in feed.get("/status")["experiments"]:
            if one["experiment"] in before:
                console.print(outcome(one, stats))
        if not before:
            console.print("No experiment is running. Next: make deliver VERSION=n brings a version to be tried.")
    return stats


def outcome(experiment: dict[str, Any], stats: ReplayStats) -> str:
    """The verdict on an experiment, or what it still needs after these flights."""
    name = f"Version {experiment['challenger']} against version {experiment['champion']}"
    if experiment["state"] != RUNNING:
        return f"{name}: {experiment['state']}: {experiment['reason']}."
    if not stats.verdicts:
        return f"{name}: no day is closed yet, which needs the labels of a day after it. Next: make stream"
    plan, verdict = Plan.of(**experiment["plan"]), Verdict(**stats.verdicts[-1])
    left = plan.max_days - verdict.day
    return f"{name}: {verdict.reason(plan)}. It needs {left} more days at most. Next: make stream"
