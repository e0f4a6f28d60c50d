"""The progression compares what can be compared."""

from dataclasses import replace
from datetime import date

import pytest

from shared.errors import UserError
from shared.progress import LEVELS, keep_summary, read_summaries
from shared.score import score
from shared.settings import Settings


def test_levels_measured_on_other_flights_make_no_table(settings: Settings) -> None:
    measured = score([0, 1, 0], [0.1, 0.8, 0.3])
    for level in LEVELS:
        keep_summary(settings, level, measured, steps=2)
    assert [one.score for one in read_summaries(settings).values()] == [measured] * len(LEVELS)
    keep_summary(replace(settings, today=date(2013, 7, 1)), "level3", measured, steps=2)
    with pytest.raises(UserError, match=r"level3: TODAY=2013-07-01, 3 flights.*Remedy"):
        read_summaries(settings)
    keep_summary(settings, "level3", score([0, 1], [0.1, 0.8]), steps=2)
    with pytest.raises(UserError, match="level3: TODAY=2013-04-01, 2 flights"):
        read_summaries(settings)
