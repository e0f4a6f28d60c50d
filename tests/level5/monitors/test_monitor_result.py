"""Names of monitors, causes and decisions as people read them."""

import pytest

from level5_monitoring.monitors.monitor_result import in_words


@pytest.mark.parametrize(
    ("name", "words"), [("roll_back", "roll back"), ("non_inferior", "non-inferior"), ("drift", "drift")]
)
def test_a_name_becomes_words(name: str, words: str) -> None:
    assert in_words(name) == words
