"""Three weeks in the log, for tests of the page and of its server: eight flights a day, seven of them labelled."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import sqlalchemy as sa

from level4_deployment.control import audit
from level4_deployment.experiment import experiment_store, labels
from level4_deployment.experiment.design import Plan
from level4_deployment.prediction_log import AUDIT, LABELS, PREDICTIONS
from level5_monitoring.policy_backtest.calendars import CALENDAR, PREDICTIONS_FILE
from shared.files import write_parquet
from shared.settings import NEW_YORK
from tests.factories import insert, label, prediction

DAYS = [str(day.date()) for day in pd.date_range("2013-04-01", periods=21)]
PROBABILITIES = np.linspace(0.05, 0.95, 8)  # of a day's flights
LATE = [0, 0, 1, 0, 1, 0, 1]  # the labels of a day
CLOCK = 1_000_000.0  # the machine's clock at the first prediction; a day takes 100 s


def day_of_predictions(day: str) -> list[dict[str, object]]:
    """The rows of a day's flights, predicted one second apart."""
    first = pd.Timestamp(f"{day} 06:00", tz=NEW_YORK).timestamp()
    begin = CLOCK + 100 * DAYS.index(day)
    return [
        prediction(f"{day}-{i}", departs_at=first + 3600 * i, asked_at=begin + i, probability=probability)
        for i, probability in enumerate(PROBABILITIES)
    ]


def fill(log: sa.Engine) -> None:
    """Write predictions and labels, and close all days but the last two."""
    insert(log, PREDICTIONS, [row for day in DAYS for row in day_of_predictions(day)])
    insert(log, LABELS, [label(f"{day}-{i}", late=late) for day in DAYS for i, late in enumerate(LATE)])
    labels.ingest(log, [], pd.Timestamp("2013-04-22", tz=NEW_YORK).timestamp())


def write_calendar(home: Path, probability: float = 0.4) -> None:
    """Write the calendar policies' predictions, all the same."""
    flights = [row["flight_id"] for day in DAYS for row in day_of_predictions(day)]
    table = pd.DataFrame({"flight_id": flights, **dict.fromkeys(CALENDAR, probability)})
    write_parquet(table, home / PREDICTIONS_FILE)


def try_version(log: sa.Engine, challenger: int, state: str, at: tuple[float, float], champion: int = 1) -> str:
    """An experiment that began, and ended if it does not run, when the machine's clock was `at`; returns its name."""
    one = experiment_store.new_experiment(log, champion, challenger, Plan(), "loop")
    ends = audit.STOP if state == "stopped" else audit.END
    for moment, action in zip(at, (audit.BEGIN, ends), strict=True):
        if (action, state) == (ends, "running"):
            continue
        number = audit.begin(log, audit.Action("platform", action, "", challenger, one.experiment))
        with log.begin() as connection:
            connection.execute(AUDIT.update().where(AUDIT.c.number == number).values(at=moment, status="done"))
    experiment_store.save(log, replace(one, state=state, reason="because"))
    return one.experiment
