"""Retraining by the calendar, which the loop is compared with: never, every six weeks, each month, each week.

Each model learns from what was known on its night, by the recipe of level 3's pipeline, and is in production at once;
one policy tries it first, as the loop does. `calendar_training` trains them all, in a thread beside the replayed year.
"""

import gc
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from level4_deployment import prediction_log
from level5_monitoring import config
from level5_monitoring.loop import policy
from level5_monitoring.policy_backtest.models import Models, faulty_year, real_year
from level5_monitoring.policy_backtest.simulation import Loop, Platform, Turn, by_calendar, simulate
from shared.console import step
from shared.data.flights import load_flights
from shared.errors import UserError
from shared.files import read_parquet, write_parquet
from shared.settings import NEW_YORK, Settings

LOOP, CALENDAR = "loop", ["frozen", "six_weeks", "six_weeks_tried", "monthly", "weekly"]
POLICIES = {
    "frozen": "never retrained",
    "six_weeks": "every six weeks, at once",
    "six_weeks_tried": "every six weeks, tried",
    "monthly": "monthly",
    "weekly": "weekly",
    LOOP: "by the loop",
}
CLEAN = ["frozen", "six_weeks", "monthly"]  # compared in the clean year too: weekly's 24 more models take too long
SIX_WEEKS = 6  # Mondays
PREDICTIONS_FILE = "calendar_policies.parquet"


def training_nights(start: pd.Timestamp, end: pd.Timestamp) -> dict[str, list[str]]:
    """The nights (YYYY-MM-DD) on which each calendar policy trains: on Mondays, but first at once, on `start`.

    monthly: on the first of these nights in each month; six_weeks: on every sixth.
    """
    days = pd.date_range(start.tz_convert(NEW_YORK), end.tz_convert(NEW_YORK), freq="D")
    mondays = days[(days == start) | (days.weekday == 0)].tz_localize(None)
    names = mondays.strftime("%Y-%m-%d")
    weekly, monthly = list(names), list(names[~mondays.to_period("M").duplicated()])
    six_weeks = weekly[::SIX_WEEKS]
    return {
        "frozen": weekly[:1],
        "six_weeks": six_weeks,
        "six_weeks_tried": six_weeks,
        "monthly": monthly,
        "weekly": weekly,
    }


def calendar_turns(nights: dict[str, list[str]]) -> dict[str, Turn]:
    """What each calendar policy does in a night. nights: of `training_nights`."""
    return {name: by_calendar(nights[name], tried=name == "six_weeks_tried") for name in CALENDAR}


def simulate_policies(
    models: Models, start: str, end: str, turns: dict[str, Turn]
) -> tuple[pd.DataFrame, dict[str, Platform]]:
    """Each policy's year. In the table, one row per flight that really arrived and that all have answered.

    Columns: flight_id, scheduled_departure, late, which is what really happened; and for each policy its probability,
    the number of the version that gave it (`weekly version`), and the probability that the version before it would have
    given (`weekly before`).
    """
    table = models.year.flights[["flight_id", "scheduled_departure"]].assign(late=models.year.truth)
    platforms = {}
    for name, turn in turns.items():
        one = platforms[name] = simulate(models, start, end, turn)
        columns = {name: one.answer, f"{name} version": one.version, f"{name} before": one.before}
        table = table.assign(**columns)
    return table.dropna(subset=["late", *turns]).reset_index(drop=True), platforms


def predict_by_calendar(
    flights: pd.DataFrame,
    start: pd.Timestamp,
    keep_share: Callable[[float], object] = lambda _share: None,
    *,
    faults: bool = False,
) -> pd.DataFrame:
    """The calendar policies' table, as of `simulate_policies`.

    keep_share: is called with the share of the trainings that are done, then in each night of each policy. faults: in
    the year with faults; the columns `clean NAME`, of CLEAN and the loop, are then of the year without.
    """
    nights = training_nights(start, flights["predicted_at"].max())
    first, last = nights["weekly"][0], str(flights["predicted_at"].max().tz_convert(NEW_YORK).date())
    models = Models(faulty_year(flights, first) if faults else real_year(flights))
    clean = Models(real_year(flights), like=models)
    again = sorted({night for name in CLEAN for night in nights[name]}) if faults else []
    trainings = [(models, night) for night in nights["weekly"]] + [(clean, night) for night in again]
    every = len(trainings) + faults * (policy.BUDGET + 1)
    for done, (of, night) in enumerate(trainings):
        keep_share(done / every)
        of.train(night)

    def reported(turn: Turn) -> Turn:
        def report_and_turn(platform: Platform, night: str) -> None:
            keep_share(len(trainings) / every)  # gates and the loop train as well
            turn(platform, night)

        return report_and_turn

    turns = {name: reported(turn) for name, turn in calendar_turns(nights).items()}
    table, _ = simulate_policies(models, first, last, turns)
    if not faults:
        return table
    clean_turns = {name: turns[name] for name in CLEAN} | {LOOP: reported(Loop(clean, first))}
    answers, _ = simulate_policies(clean, first, last, clean_turns)
    columns = answers[["flight_id", *clean_turns]].rename(columns={name: f"clean {name}" for name in clean_turns})
    return table.merge(columns, on="flight_id", how="left", validate="1:1")


class CalendarTraining:
    """The calendar policies' predictions, made in a thread of this process; see `calendar_training`."""

    def __init__(self, settings: Settings, busy: Callable[[], bool], *, faults: bool) -> None:
        self.settings, self.busy, self.faults = settings, busy, faults
        self.share = 0.0  # of the trainings that are done
        self.error: Exception | None = None
        self.given_up = False
        self.thread = threading.Thread(target=self._train, name="calendar policies", daemon=True)

    def over(self) -> bool:
        """Whether nothing is trained any more."""
        return not self.thread.is_alive()

    def _train(self) -> None:
        try:
            table = predict_by_calendar(load_flights(self.settings), self.settings.now, self._keep, faults=self.faults)
            write_parquet(table, config.own(self.settings) / PREDICTIONS_FILE)
            del table
            gc.collect()  # platforms and their versions refer to each other: 200 MB
        except _GivenUpError:
            pass
        except Exception as error:
            self.error = error
            raise  # Python prints it

    def _keep(self, share: float) -> None:
        self.share = share
        while self.busy() and not self.given_up:
            time.sleep(0.2)
        if self.given_up:
            raise _GivenUpError

    def wait(self) -> None:
        """Return when all is trained; raises UserError where a training failed."""
        name = "Models of the other policies, trained beside the year"
        with step(name) as waiting:
            while not self.over():
                waiting.update(f"{name}: {self.share:.0%}")
                self.thread.join(0.2)
        if self.error:
            raise UserError("the calendar policies were not trained. Remedy: read why above.") from self.error


class _GivenUpError(Exception):
    """Nobody waits for the calendar policies any more."""


@contextmanager
def calendar_training(
    settings: Settings, *, faults: bool = False, busy: Callable[[], bool] = lambda: False
) -> Iterator[CalendarTraining]:
    """Train the calendar policies while the block runs; at its end, what is not done yet is given up.

    faults: in the year with faults, and a part of the policies in the one without. busy: no model is begun while it
    returns True. A process of their own would need 400 MB more, since a thread shares the libraries and the year with
    the replay beside it.
    """
    training = CalendarTraining(settings, busy, faults=faults)
    training.thread.start()
    try:
        yield training
    finally:
        training.given_up = True
        if not training.over():
            with step("End the training of the other policies"):
                training.thread.join()  # seconds: until the model is done that is being trained


def collect_predictions(settings: Settings) -> pd.DataFrame:
    """One row per labelled flight: as `predict_by_calendar`, and the loop's first answer to the user."""
    columns = [prediction_log.PREDICTIONS.c.flight_id, prediction_log.PREDICTIONS.c.probability]
    with config.open_log(settings) as log:
        loop = prediction_log.first_predictions(log, columns)[["flight_id", "probability"]]
    calendar = read_predictions(config.own(settings))
    return calendar.merge(loop.set_axis(["flight_id", LOOP], axis=1), on="flight_id", how="left", validate="1:1")


def read_predictions(home: Path) -> pd.DataFrame:
    """Each calendar policy's probability, by `predict_by_calendar`; raises StateError or FileNotFoundError."""
    return read_parquet(home / PREDICTIONS_FILE, "make down, then make up; or make level5")
