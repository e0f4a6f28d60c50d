"""Each calendar's predictions come from its newest model, and a training that fails is reported."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from level5_monitoring.policy_backtest import calendars, models
from shared.errors import UserError
from shared.settings import NEW_YORK, Settings

START = pd.Timestamp("2013-04-01", tz=NEW_YORK).tz_convert("UTC")


def test_each_prediction_comes_from_the_newest_model_of_its_policy(
    flights: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The models here predict how many flights they know, which shows on which day each was trained."""
    spring = flights[flights["predicted_at"] < START + pd.Timedelta(days=50)]
    monkeypatch.setattr(models.data, "sample", lambda known, _day: known.reset_index(drop=True))
    monkeypatch.setattr(models, "fit_features", lambda inputs, _late, **_plan: len(inputs))
    monkeypatch.setattr(models, "predict_features", lambda rows, inputs: np.full(len(inputs), rows / 1e6))
    found = calendars.predict_by_calendar(spring, START)
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
            assert {*rows[policy]} == {known[one] / 1e6}, (day, policy)
    assert {*found["weekly before"].dropna().unique()} >= {known["2013-04-01"] / 1e6}
    after = found[found["flight_id"].str.startswith("2013-05-08")]
    assert {*after["weekly before"]} == {known["2013-04-29"] / 1e6}
    tried = found[found["flight_id"].str.startswith("2013-05-15")]["six_weeks_tried"]
    assert {*tried} == {known["2013-04-01"] / 1e6}, "in shadow, the champion answers"


def test_a_failed_training_by_the_calendar_names_its_log(level5_settings: Settings) -> None:
    with pytest.raises(UserError, match=r"calendar_policies\.log"):
        calendars.collect_predictions(level5_settings, subprocess.Popen([sys.executable, "-c", "raise SystemExit(1)"]))
