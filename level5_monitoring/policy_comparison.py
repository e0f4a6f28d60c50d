"""What the year was worth: the loop beside policies by the calendar, and what the level is for.

`python -m level5_monitoring.policy_comparison` says whether the last `make level5` came to that.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from level5_monitoring import config
from level5_monitoring.calendar_policies import POLICIES, first_of_month
from shared.console import console, show_table
from shared.errors import UserError, command
from shared.files import write_json
from shared.score import Score, by_slice, score
from shared.settings import Settings

LOOP = "loop"
NAMES = {
    "frozen": "never",
    "monthly": "each month, by hand",
    "weekly": "each week, by the clock",
    LOOP: "when needed, by the loop",
}
FIGURES = {"log_loss": "Log loss", "auc": "AUC", "calibration_error": "Calibration error"}
WORSE_BY, OF_TRAININGS = 0.01, 0.2  # what the loop may at most lose to weekly retraining, and train of it
FILE = "compared.json"


@dataclass(frozen=True)
class LoopCounts:
    """What is on record of the loop's year. trainings: the first included; steps: what people did, on the platform."""

    trainings: int
    steps: int
    alerts: int
    false_alarms: int


@dataclass(frozen=True)
class PolicyResult:
    """A policy on every labelled flight. trainings: the first included; steps: what people did for them.

    alerts, false_alarms: of the year; None where nobody watches.
    """

    score: Score
    trainings: int
    steps: int
    alerts: int | None = None
    false_alarms: int | None = None


def compare_policies(table: pd.DataFrame, counted: LoopCounts) -> dict[str, PolicyResult]:
    """Score each policy on the flights that all of them have answered; counted: of the loop."""
    both = table.dropna(subset=[*POLICIES, LOOP])
    weeks = pd.DatetimeIndex(sorted(table["week"].unique()))
    months = sum(first_of_month(weeks))
    scores = {name: score(both["late"], both[name]) for name in NAMES}
    return {
        "frozen": PolicyResult(scores["frozen"], 1, 0),
        "monthly": PolicyResult(scores["monthly"], months, months),
        "weekly": PolicyResult(scores["weekly"], len(weeks), 0),
        LOOP: PolicyResult(scores[LOOP], **asdict(counted)),
    }


def show_comparison(table: pd.DataFrame, found: dict[str, PolicyResult]) -> None:
    """Print what each policy was worth, over all and by month."""
    weekly = found["weekly"].score.log_loss
    rows = [
        [
            NAMES[policy],
            f"{one.score.log_loss:.4f}",
            f"{one.score.log_loss / weekly - 1:+.1%}",
            f"{one.score.auc:.4f}",
            f"{one.score.calibration_error:.4f}",
        ]
        for policy, one in found.items()
    ]
    flights = next(iter(found.values())).score.rows
    columns = ["Retrained", "log loss", "to weekly", "AUC", "calibration error"]
    show_table(f"What it was worth, on {flights:,} labelled flights", columns, rows)
    took = [
        [NAMES[policy], *map(_count, (one.trainings, one.alerts, one.false_alarms, one.steps))]
        for policy, one in found.items()
    ]
    show_table("What it took", ["Retrained", "trainings", "alerts", "false alarms", "steps by hand"], took)
    for figure, title in FIGURES.items():
        months = by_month(table, figure)
        lines = [
            [str(month), f"{row['rows']:,.0f}", *(f"{row[policy]:.4f}" for policy in found)]
            for month, row in months.iterrows()
        ]
        show_table(f"{title} by month of departure", ["", "flights", *found], lines)


def by_month(table: pd.DataFrame, figure: str) -> pd.DataFrame:
    """A figure of each policy by month of departure, beside the rows behind it."""
    months = table.assign(month=table["flight_id"].str[:7]).dropna(subset=[*POLICIES, LOOP])
    slices = {policy: by_slice(months, months[policy], "month") for policy in NAMES}
    return pd.DataFrame({policy: one[figure] for policy, one in slices.items()}).assign(rows=slices[LOOP]["rows"])


def compare(loop: PolicyResult, weekly: PolicyResult) -> str:
    """The loop beside retraining each week."""
    more = loop.score.log_loss / weekly.score.log_loss - 1
    return f"log loss {more:+.1%} of weekly retraining's, with {loop.trainings} trainings instead of {weekly.trainings}"


def when_not(found: dict[str, PolicyResult]) -> str:
    """What stands between doing nothing and doing it by hand, in this run's figures."""
    frozen, monthly, loop = (found[name].score.log_loss for name in ("frozen", "monthly", LOOP))
    return (
        f"never retrained {frozen:.4f}, by hand each month {monthly:.4f}, the loop {loop:.4f}: "
        "where a month's work a year is cheaper than this machinery, stop at level 3 or 4"
    )


def keep(settings: Settings, found: dict[str, PolicyResult], failed: int) -> None:
    """Keep what a year came to; failed: requests without an answer."""
    kept = {name: asdict(one) for name, one in found.items()}
    write_json(config.own(settings) / FILE, {"policies": kept, "failed": failed})


def short_of(file: Path) -> list[str]:
    """What the kept year has not reached of what the level is for, in words."""
    kept = json.loads(file.read_text())
    found = {name: PolicyResult(**one | {"score": Score(**one["score"])}) for name, one in kept["policies"].items()}
    loop, weekly = found[LOOP], found["weekly"]
    more = loop.score.log_loss / weekly.score.log_loss - 1
    reached = {
        f"log loss {more:+.2%} of weekly retraining's; {WORSE_BY:+.0%} is the aim": more <= WORSE_BY,
        f"{loop.trainings} trainings; {OF_TRAININGS:.0%} of {weekly.trainings} is the aim": (
            loop.trainings <= OF_TRAININGS * weekly.trainings
        ),
        f"{loop.steps} steps by hand; none is the aim": loop.steps == 0,
        f"{kept['failed']} requests failed; none is the aim": kept["failed"] == 0,
    }
    return [said for said, done in reached.items() if not done]


def _count(figure: int | None) -> str:
    return "" if figure is None else str(figure)


def main() -> None:
    """Say whether the last year came to what the level is for."""
    file = config.own(config.configure()) / FILE
    if not file.exists():
        raise UserError(f"no year has been played here: there is no {file}. Remedy: make level5.")
    if short := short_of(file):
        raise UserError(f"level 5 did not reach its aims: {'; '.join(short)}. Remedy: see policy.py.")
    console.print("Level 5's loop came to what it is for.")


if __name__ == "__main__":
    command(main)
