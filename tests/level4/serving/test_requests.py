"""A request's features without a table are those of training, bit for bit."""

import json

import numpy as np
import pandas as pd

from level2_devops.features import CATEGORIES, NUMBERS, features
from level4_deployment.replay_client import as_requests
from level4_deployment.serving.requests import NamedFlight, features_of, tensors


def test_ten_thousand_real_flights_give_the_same_bits(flights: pd.DataFrame) -> None:
    some = flights.sample(10_000, random_state=3)
    parsed = [NamedFlight.model_validate_json(json.dumps(body)) for body in as_requests(some)]
    strings, numbers = tensors([features_of(flight) for flight in parsed])
    wanted = features(some)
    assert (strings == wanted[CATEGORIES].to_numpy(object)).all()
    expected = wanted[NUMBERS].to_numpy("float32")
    assert np.isnan(expected).any(axis=1).sum() > 1_000, "some with weather missing"
    assert numbers.dtype == expected.dtype
    assert numbers.tobytes() == expected.tobytes()


def test_both_sides_of_a_change_of_clocks_and_any_offset() -> None:
    base = {"carrier": "B6", "origin": "JFK", "dest": "BOS", "distance": 187}
    late = {"airport_departures_1h": 21, "airport_overdue": 9, "all_airports_overdue": 24}
    times = [
        ("2013-03-10T01:30:00-05:00", "2013-03-10T03:40:00-04:00"),
        ("2013-03-10T07:00:00Z", "2013-03-10T09:05:00Z"),
        ("2013-11-03T05:30:00+00:00", "2013-11-03T07:00:00.5+01:00"),
    ]
    sent = [
        base | late | {"flight_id": f"{a[:10]}-B61-JFK", "scheduled_departure": a, "scheduled_arrival": b}
        for a, b in times
    ]
    table = pd.DataFrame(sent)
    for name in ("scheduled_departure", "scheduled_arrival"):
        table[name] = pd.to_datetime(table[name], utc=True, format="ISO8601")
    for name in NUMBERS:
        if name not in table:
            table[name] = np.nan
    _, numbers = tensors([features_of(NamedFlight.model_validate_json(json.dumps(one))) for one in sent])
    assert numbers.tobytes() == features(table)[NUMBERS].to_numpy("float32").tobytes()
