"""How the values of each column are spread: in a week of the log, and in the reference, for a cell of the page.

A tenth of a week's flights is enough for a drawing; the monitors measure drift on all of them.
"""

import json
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa
from numpy.typing import NDArray

from level4_deployment.prediction_log import PREDICTIONS
from level5_monitoring.dashboard.data import Year
from level5_monitoring.monitors.distances import COLUMNS, columns_of
from level5_monitoring.monitors.reference import load_reference
from level5_monitoring.monitors.window import CODES, NUMBERS, TIMES, WEEK, week_of
from shared.data.schema import KNOWN_BEFORE
from shared.errors import UserError
from shared.settings import NEW_YORK

EVERY = 10  # each tenth flight of a week
BINS, MOST = 8, 0.01  # of equal width, without the lowest and the highest hundredth of the reference
CODES_SHOWN = 8

Shares = dict[str, dict[str, Any]]  # by column: `bins`, the `reference`'s thousandths, by Sunday those of its `weeks`


def add_shares(year: Year, log: sa.Engine, home: Path, known: Shares | None = None) -> Year:
    """The year with the shares behind each week of drift; without a reference, without them. home: this level's folder.

    known: weeks that are not read again. The caller keeps it from one call to the next.
    """
    known, sundays = {} if known is None else known, sorted({day for weeks in year.drift.values() for day in weeks})
    new = sundays if not known else [day for day in sundays if day not in known[COLUMNS[0]]["weeks"]]
    if new:
        with suppress(UserError):  # no reference, or a garbled one, is the loop's business
            _read(log, load_reference(home).sample, new, known)
    return replace(year, shares=known)


def _read(log: sa.Engine, sample: pd.DataFrame, sundays: list[str], known: Shares) -> None:
    """Add to `known` the weeks that end with these Sundays; sample: the reference's."""
    then, payloads = columns_of(sample), [_payloads(log, sunday) for sunday in sundays]
    now = columns_of(_flights([text for one in payloads for text in one]))
    week, all_of_it = np.repeat(np.arange(len(sundays)), [len(one) for one in payloads]), np.zeros(len(then), int)
    for name in COLUMNS:
        edges = _edges(then[name])
        [reference] = _thousandths(then[name], edges, all_of_it, 1)
        of = known.setdefault(name, {"bins": _labels(edges), "reference": reference, "weeks": {}})
        of["weeks"] |= zip(sundays, _thousandths(now[name], edges, week, len(sundays)), strict=True)


def _payloads(log: sa.Engine, sunday: str) -> list[str]:
    """Each tenth request of the flights of the week that ends with `sunday`, in order of departure."""
    begin = pd.Timestamp(week_of(sunday)[0], tz=NEW_YORK)
    end, departs = begin + pd.DateOffset(days=WEEK), PREDICTIONS.c.departs_at
    query = sa.select(PREDICTIONS.c.request_payload).where(departs >= begin.timestamp(), departs < end.timestamp())
    with log.connect() as connection:
        cursor = connection.execute(query.order_by(departs, PREDICTIONS.c.flight_id)).cursor
        return [row[0] for row in (cursor.fetchall() if cursor else [])[::EVERY]]


def _flights(payloads: list[str]) -> pd.DataFrame:
    requests = pd.DataFrame(json.loads(f"[{','.join(payloads)}]")).reindex(columns=list(KNOWN_BEFORE))
    times = {name: pd.to_datetime(requests[name], utc=True) for name in TIMES}
    return requests.astype(dict.fromkeys(NUMBERS, float)).assign(**times)


def _edges(values: pd.Series) -> list[Any]:
    """Of numbers, the edges between bins; of codes, the most frequent ones."""
    if values.name in CODES:
        return [str(code) for code in values.value_counts().index[:CODES_SHOWN]]
    low, high = values.quantile([MOST, 1 - MOST])
    return [float(f"{edge:.3g}") for edge in np.linspace(low, high, BINS + 1)] if high > low else [float(low)]


def _labels(edges: list[Any]) -> list[str]:
    if isinstance(edges[0], str):
        return [*edges, "others", "missing"]
    between = [f"{low:g} to {high:g}" for low, high in pairwise(edges)]
    return [f"below {edges[0]:g}", *between, f"from {edges[-1]:g}", "missing"]


def _thousandths(values: pd.Series, edges: list[Any], week: NDArray[np.intp], weeks: int) -> list[list[int]]:
    """For each week, the thousandths of its values in each bin of `_labels`; week: of each value, from 0."""
    codes, bins = isinstance(edges[0], str), len(_labels(edges))
    found = pd.Index(edges).get_indexer(values) if codes else np.searchsorted(edges, values, side="right")
    place = np.where(values.isna(), bins - 1, np.where(found < 0, len(edges), found))
    counts = np.bincount(week * bins + place, minlength=weeks * bins).reshape(weeks, bins)
    rows: list[list[int]] = (
        np.rint(1000 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)).astype(int).tolist()
    )
    return rows
