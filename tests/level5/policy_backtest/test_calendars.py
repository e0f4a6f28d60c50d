"""Each calendar's predictions come from its newest model; their training makes way, ends, and reports an error."""

import time

import numpy as np
import pandas as pd
import pytest

from level5_monitoring import config
from level5_monitoring.policy_backtest import calendars, models
from shared.errors import UserError
from shared.settings import NEW_YORK, Settings
from tests.support import eventually

START = pd.Timestamp("2013-04-01", tz=NEW_YORK).tz_convert("UTC")


def test_each_prediction_comes_from_the_newest_model_of_its_policy(
    flights: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The models here predict how many flights they know, which shows on which day each was trained."""
    spring = flights[flights["predicted_at"] < START + pd.Timedelta(days=50)]
    monkeypatch.setattr(models.data, "sample", lambda known, _day, _without: known.reset_index(drop=True))
    monkeypatch.setattr(models, "fit_features", lambda inputs, _late, **_plan: len(inputs))
    monkeypatch.setattr(models, "predict_features", lambda rows, inputs: np.full(len(inputs), rows / 2**20))
    shares: list[float] = []
    found = calendars.predict_by_calendar(spring, START, shares.append)
    assert shares.count(1.0) > 5 * 45, "each night of each policy, so that it can be given up"
    known = {
        day: int((spring["late"].notna() & (spring["label_known_at"] < pd.Timestamp(day, tz=NEW_YORK))).sum())
        for day in ("2013-04-01", "2013-04-08", "2013-04-29", "2013-05-06", "2013-05-13")
    }
    for day, trained in {  # by frozen, six_weeks, monthly, weekly
        "2013-04-03": ("2013-04-01", "2013-04-01", "2013-04-01", "2013-04-01"),
        "2013-04-10": ("2013-04-01", "2013-04-01", "2013-04-01", "2013-04-08"),
        "2013-05-03": ("2013-04-01", "2013-04-01", "2013-04-01", "2013-04-29"),
        "2013-05-08": ("2013-04-01", "2013-04-01", "2013-05-06", "2013-05-06"),
        "2013-05-15": ("2013-04-01", "2013-05-13", "2013-05-06", "2013-05-13"),
    }.items():
        rows = found[found["flight_id"].str.startswith(day)]
        for policy, one in zip(("frozen", "six_weeks", "monthly", "weekly"), trained, strict=True):
            assert {*rows[policy]} == {known[one] / 2**20}, (day, policy)
    assert {*found["weekly before"].dropna().unique()} >= {known["2013-04-01"] / 2**20}
    after = found[found["flight_id"].str.startswith("2013-05-08")]
    assert {*after["weekly before"]} == {known["2013-04-29"] / 2**20}
    tried = found[found["flight_id"].str.startswith("2013-05-15")]["six_weeks_tried"]
    assert {*tried} == {known["2013-04-01"] / 2**20}, "in shadow, the champion answers"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_failed_training_by_the_calendar_is_reported(
    level5_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calendars, "load_flights", lambda _settings: pd.DataFrame())
    failed = pytest.raises(UserError, match="calendar policies were not trained")
    with calendars.calendar_training(level5_settings) as training, failed:
        training.wait()


def test_a_training_by_the_calendar_waits_for_the_loop_s_and_ends_with_the_block(
    level5_settings: Settings, flights: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy, trained = [True], list[str]()

    def train(_models: models.Models, night: str) -> None:
        trained.append(night)
        time.sleep(0.1)

    monkeypatch.setattr(models.Models, "train", train)
    monkeypatch.setattr(calendars, "load_flights", lambda _settings: flights)
    with calendars.calendar_training(level5_settings, busy=lambda: bool(busy)) as training:
        time.sleep(0.5)
        assert not trained
        busy.clear()
        eventually(lambda: training.share > 0)
    assert training.over()
    assert 0 < len(trained) < 40, "what is not done is given up"
    assert not (config.own(level5_settings) / calendars.PREDICTIONS_FILE).exists()
