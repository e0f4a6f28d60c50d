"""Before a version is deployed, it is better, worse or neither, on flights that neither version was trained on."""

import pandas as pd
import pytest

from level2_devops.release.store import Current, Store
from level3_training_pipeline.deploy import _compared_with_champion
from level3_training_pipeline.pipeline import compare
from level3_training_pipeline.tracking import registry
from level3_training_pipeline.tracking.registry import Version
from tests.factories import day_differences
from tests.level3.world import World


@pytest.mark.parametrize(
    ("gain", "finding"),
    [(0.02, "better, gain +0.0200"), (-0.02, "worse, gain -0.0200"), (0.002, "cannot tell, gain +0.0020")],
)
def test_the_finding_has_gain_interval_rows_and_days(gain: float, finding: str) -> None:
    ours = pd.DataFrame({"rows": 900, "log_loss": 0.45}, index=pd.date_range("2013-03-18", periods=14).astype(str))
    theirs = ours.assign(log_loss=0.45 + day_differences(gain, 14))
    told = compare.judge_days(compare.in_common(ours, theirs))
    assert told.startswith(f"{finding} nats per flight (95% interval ")
    assert told.endswith("on 12,600 flights of 14 days before today")
    fewer = compare.judge_days(compare.in_common(ours.head(2), theirs))
    assert fewer == "cannot tell, for there are 2 days that both were evaluated on"


def test_the_champion_is_named_or_that_there_is_none(
    world: World, version: Version, monkeypatch: pytest.MonkeyPatch
) -> None:
    for champion, says in (
        (None, "There is no champion yet"),
        (version, f"Version {version.number} is the"),
    ):
        monkeypatch.setattr(registry, "by_alias", lambda *_, one=champion: one)
        assert _compared_with_champion(world.client, version, world.settings).startswith(says)
    monkeypatch.setattr(Store, "current", lambda _: Current("1.0.9", (), 1))
    told = _compared_with_champion(world.client, version, world.settings)
    assert told.endswith("champion already. Level 2's service has another release by now, 1.0.9.")
