"""Nothing that became known after a day is learned from on that day."""

import pandas as pd
import pytest

from shared.data.split import future, history
from shared.errors import UserError

DAYS = [pd.Timestamp(day, tz="America/New_York") for day in ("2013-03-10", "2013-04-01", "2013-07-01", "2013-11-03")]


@pytest.mark.parametrize("now", DAYS)
def test_no_label_crosses_now(now: pd.Timestamp, flights: pd.DataFrame) -> None:
    known, later = history(flights, now), future(flights, now)
    assert known["label_known_at"].max() < now
    assert later["predicted_at"].min() >= now
    assert known["late"].notna().all()
    assert later["late"].notna().all()
    assert not set(known["flight_id"]) & set(later["flight_id"])


def test_only_flights_under_way_at_now_are_on_neither_side(flights: pd.DataFrame) -> None:
    now = DAYS[1]
    known, later = history(flights, now), future(flights, now)
    labelled = flights[flights["late"].notna()]
    neither = labelled[~labelled["flight_id"].isin([*known["flight_id"], *later["flight_id"]])]
    assert 0 < len(neither) < 500
    assert (neither["predicted_at"] < now).all()
    assert (neither["label_known_at"] >= now).all()


def test_a_day_with_no_flight_after_it_is_refused(flights: pd.DataFrame) -> None:
    with pytest.raises(UserError, match="TODAY=2014-01-01: no flight comes after it"):
        future(flights, pd.Timestamp("2014-01-01", tz="America/New_York"))
