"""What `make level4` prints, and what it claims: a claim that this run did not show ends it with an error."""

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from level2_devops.load_generator import CLIENTS  # each waits for its response before it sends the next request
from level4_deployment.control.client import is_running
from level4_deployment.demo.console_view import STAGES, Digests
from level4_deployment.demo.drills import KillDrill, RollbackDrill
from level4_deployment.experiment.design import judge
from level4_deployment.experiment.experiment_store import INCONCLUSIVE, PROMOTED, REJECTED, Experiment, days_of, find
from level4_deployment.experiment.plots import verdict_plot
from level4_deployment.explain import explain
from level4_deployment.prediction_log import PREDICTIONS, first_predictions, open_log, url_of
from level4_deployment.replay_client import ReplayStats
from shared.console import console, step
from shared.errors import UserError
from shared.files import short_commit, short_digest
from shared.pictures import save
from shared.processes.reset import set_aside
from shared.score import by_month
from shared.settings import FIRST_TODAY, LAST_TODAY, Settings

STORY_TODAY = date(2013, 4, 1)  # both verdicts are known in advance only as of this day
RESTORED_WITHIN = 5.0  # seconds after the command to roll back
FEWEST_FLIGHTS = 1000  # of a month, for its log loss to be shown


def empty_home(settings: Settings) -> Path:
    """An empty folder for the platform; the last run's is moved beside it, and kept until the next run."""
    home = settings.level("level4")
    if is_running(home):
        raise UserError(f"a platform runs in {home}. Remedy: end it with Ctrl-C first.")
    set_aside(settings, home)
    return settings.level("level4")


def months_around(settings: Settings) -> tuple[date, Settings, Settings]:
    """A month before today, and the settings of two and of three months later; raises UserError beyond the year."""
    today = pd.Timestamp(settings.today)
    before, two, three = ((today + pd.DateOffset(months=months)).date() for months in (-1, 2, 3))
    if before < FIRST_TODAY or three > LAST_TODAY:
        raise UserError(
            f"TODAY={settings.today}: this level trains as of a month before and replays three months after. "
            "Remedy: a TODAY from 2013-04-01 to 2013-10-01."
        )
    return before, replace(settings, today=two), replace(settings, today=three)


def draw_experiments(home: Path, *versions: int) -> list[Experiment]:
    """Draw every experiment, and print its live split; returns those in which these versions were the challengers."""
    with open_log(url_of(home)) as log:
        experiments = find(log)
        for one in experiments:
            days = days_of(log, one.experiment)
            answered = int(days["challenger_arm"].sum())
            live = answered + int(days["champion_arm"].sum())
            share = f"answered {answered / max(1, live):.1%} of {live:,} live flights, {one.plan.share:.0%} was planned"
            console.print(f"  version {one.challenger} {share}")
            figure = verdict_plot(one.plan, days, judge(one.plan, days), one.challenger)
            save(figure, home / f"{one.experiment}.png")
    by_challenger = {one.challenger: one for one in experiments}
    return [by_challenger[version] for version in versions]


def verdict_in_a_line(one: Experiment) -> str:
    """One line of evidence; without figures, where an experiment ended without a verdict."""
    found = one.verdict
    if found is None or found.mean is None:
        return f"version {one.challenger} {one.state}"
    return f"version {one.challenger} {one.state}: {found.mean:+.4f} nats, z {found.z:.1f}, day {found.day}"


def show_served(home: Path) -> str:
    """Print the log loss of the predictions that were served, by month of departure; returns one line of evidence."""
    columns = [PREDICTIONS.c.flight_id, PREDICTIONS.c.departs_at, PREDICTIONS.c.probability]
    with open_log(url_of(home)) as log:
        found = first_predictions(log, columns).dropna(subset=["late"])
    departure = pd.to_datetime(found["departs_at"], unit="s", utc=True)
    months = by_month(found.assign(scheduled_departure=departure), found["probability"])
    months = months[months["rows"] >= FEWEST_FLIGHTS]
    each = (f"{row.log_loss:.4f} on {row.rows:,.0f} of {name}" for name, row in months.iterrows())
    console.print(f"  log loss as served, by flights of a month: {', '.join(each)}")
    return "log loss by month " + ", ".join(f"{loss:.2f}" for loss in months["log_loss"])


def show_explanation(settings: Settings, home: Path, request: str) -> str:
    """Print which model and which data a prediction comes from, and the command that shows all of it.

    Returns one line of evidence.
    """
    with step("Trace a prediction back to its model and its data"):
        explained = explain(settings, home, request)
    answer, lineage, parts = explained.answer, explained.lineage, explained.contributions
    version, run = lineage["version"], short_digest(lineage["MLflow run"])
    moved = ", ".join(f"{name} {parts[name]:+.2f}" for name in parts.abs().nlargest(3).index)
    traced = f"version {version} → run {run} → commit {short_commit(lineage['commit'])}"
    console.print(f"  {answer['flight_id']}: probability {answer['probability']:.2f}, moved most by {moved}")
    console.print(f"  {traced} → {lineage['trained on'].partition(', rows')[0]}")
    console.print(f"  all of it: make explain REQUEST={request}")
    return traced


class Claim(NamedTuple):
    """Something that this level claims, whether this run showed it, and the figures."""

    name: str
    shown: bool
    evidence: str


def service_claims(replayed: ReplayStats, rollback: RollbackDrill, kill: KillDrill) -> list[Claim]:
    """What must hold of the service, in the replay and in both drills."""
    first, last = rollback.first_restored, rollback.last_replaced
    return [
        Claim("no request of the replay fails", replayed.failed == 0, str(replayed)),
        Claim("there is load during the rollback", rollback.requests > 0, f"{rollback.requests} requests"),
        Claim("no request fails during the rollback", rollback.failed == 0, f"{rollback.failed} failed"),
        Claim(
            f"{RESTORED_WITHIN:g} s after the rollback only the restored version answers",
            0 < first < RESTORED_WITHIN and last < RESTORED_WITHIN,  # NaN, without such a response, is not
            f"its first response after {first:.1f} s, the last one of another version after {last:.1f} s",
        ),
        Claim("there is load while a worker is killed", kill.requests > 0, f"{kill.requests} requests"),
        Claim("a killed worker loses only the requests it is working on", kill.lost <= CLIENTS, f"{kill.lost} lost"),
    ]


def release_claims(
    today: date, refusals: dict[str, str], better: Experiment, worse: Experiment, stages: Digests
) -> list[Claim]:
    """What must hold of the gates, of both experiments, and of the package of the first one's challenger.

    refusals: by bad candidate why it was refused, or "" if it was let through.

    As of STORY_TODAY both verdicts are known. As of another day, eight weeks may be too few to prove what a month of
    data more is worth; but the model with the leak must never win.
    """
    good, bad = [PROMOTED, REJECTED, INCONCLUSIVE], [REJECTED, INCONCLUSIVE]
    if today == STORY_TODAY:
        good, bad = [PROMOTED], [REJECTED]
    reached = STAGES if better.state == PROMOTED else STAGES[:-1]
    digests = set.union(*stages.values())
    return [
        Claim("the gates refuse every bad candidate", all(refusals.values()), str(refusals)),
        Claim(f"version {better.challenger} is {' or '.join(good)}", better.state in good, f"it is {better.state}"),
        Claim(f"version {worse.challenger} is {' or '.join(bad)}", worse.state in bad, f"it is {worse.state}"),
        Claim(f"the package reaches {' > '.join(reached)}", tuple(stages) == reached, f"seen: {' > '.join(stages)}"),
        Claim("every stage has the same package", len(digests) == 1, f"digests: {', '.join(sorted(digests))}"),
    ]


def check(claims: list[Claim]) -> None:
    """Raise UserError, naming them, unless this run has shown all that this level claims."""
    if missing := [f"{claim.name} ({claim.evidence})" for claim in claims if not claim.shown]:
        raise UserError(f"not shown in this run: {'; '.join(missing)}. Remedy: see the tables above, and platform.log.")
