"""Each feature from the departure boards is what its definition says, counted flight by flight."""

import numpy as np
import pandas as pd
import pytest

from shared.data.delay_features import recent_delays
from shared.data.flights import LEAD
from shared.data.raw import Raw
from shared.data.schema import RECENT_DELAYS


def by_definition(board: pd.DataFrame, flight: pd.Series) -> dict[str, float]:
    """The features of one flight, by a look at every other flight."""
    at = flight["scheduled_departure"] - LEAD
    before = {
        name: (at - board[name]) / pd.Timedelta(minutes=1) for name in ("scheduled_departure", "departed", "landed")
    }
    origin, dest, carrier = (board[name] == flight[name] for name in ("origin", "dest", "carrier"))
    left = {hours: (before["departed"] >= 0) & (before["departed"] < 60 * hours) for hours in (1, 3, 4)}
    landed = {hours: (before["landed"] >= 0) & (before["landed"] < 60 * hours) for hours in (6, 12, 24)}
    due, not_left = before["scheduled_departure"], ~(before["departed"] >= 0)
    number = board[carrier & (board["flight"] == flight["flight"]) & (before["landed"] >= 0)].sort_values("landed")
    return {
        "airport_delay_1h": board[origin & left[1]]["dep_delay"].mean(),
        "airport_delay_3h": board[origin & left[3]]["dep_delay"].mean(),
        "airport_departures_1h": (origin & left[1]).sum(),
        "airport_overdue": (origin & (due >= 15) & (due < 180) & not_left).sum(),
        "all_airports_overdue": ((due >= 15) & (due < 240) & not_left).sum(),
        "carrier_delay_4h": board[carrier & left[4]]["dep_delay"].mean(),
        "arrival_delay_6h": board[origin & landed[6]]["arr_delay"].mean(),
        "arrival_delay_24h": board[origin & landed[24]]["arr_delay"].mean(),
        "dest_delay_12h": board[dest & landed[12]]["arr_delay"].mean(),
        "dest_en_route_delay_12h": (board["arr_delay"] - board["dep_delay"])[dest & landed[12]].clip(-60, 120).mean(),
        "flight_delay_last_10": number["arr_delay"].tail(10).clip(-30, 90).mean(),
        "flight_late_last_40": 100 * (number["arr_delay"].tail(40) >= 15).mean(),
    }


def test_forty_flights_have_the_features_of_the_definitions(raw: Raw) -> None:
    flights = raw.flights.reset_index(drop=True)
    delay = {name: pd.to_timedelta(flights[name], unit="min") for name in ("dep_delay", "arr_delay")}
    board = flights.assign(
        departed=flights["scheduled_departure"] + delay["dep_delay"],
        landed=flights["scheduled_arrival"] + delay["arr_delay"],
    )
    found = recent_delays(flights, flights["scheduled_departure"] - LEAD)
    assert list(found) == list(RECENT_DELAYS)
    for row in np.random.default_rng(2013).choice(len(flights), 40, replace=False):
        wanted = by_definition(board, board.loc[row])
        assert found.loc[row].to_dict() == pytest.approx(wanted, nan_ok=True, rel=1e-12), board.loc[row]


def test_a_number_that_never_landed_and_a_destination_without_landings_have_no_mean(raw: Raw) -> None:
    flights = raw.flights.reset_index(drop=True)
    first = int(flights["scheduled_departure"].argmin())
    found = recent_delays(flights, flights["scheduled_departure"] - LEAD).iloc[first]
    assert found[["flight_delay_last_10", "flight_late_last_40", "dest_en_route_delay_12h"]].isna().all()
    assert (found[["airport_departures_1h", "airport_overdue", "all_airports_overdue"]] == 0).all()
