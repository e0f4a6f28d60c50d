"""The progression compares what can be compared."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from shared.errors import UserError
from shared.progress import LEVELS, as_markdown, differences, keep_summary, read_summaries
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


def test_several_runs_are_shown_with_their_spread_and_compared_by_their_mean(settings: Settings) -> None:
    runs = [score([0, 1, 0], [0.1, late, 0.3]) for late in (0.8, 0.7, 0.2)]
    for level in LEVELS:
        keep_summary(settings, level, runs if level == "level1" else runs[0], steps=2)
    summaries = read_summaries(settings)
    losses = [one.log_loss for one in runs]
    table = as_markdown(summaries)
    assert f"| {np.mean(losses):.3f} ± {np.std(losses, ddof=1):.3f} | 0.833 ± 0.289 | 2 |" in table
    assert "level 1: mean ± SD of 3 runs" in table
    assert differences(table, summaries) == []
    keep_summary(settings, "level1", runs[2:] * 2, steps=2)
    (wrong,) = differences(table, read_summaries(settings))
    assert wrong.startswith("level1: README.md has [")
