"""Other seeds give other scores, and the spread is what the trainings gave."""

from statistics import stdev

import pytest

from level2_devops.model import predict
from level3_training_pipeline.pipeline import seed_spread
from level3_training_pipeline.pipeline.seed_spread import scores_by_seed, show_spread
from level3_training_pipeline.tracking import registry
from shared.data.flights import load_flights
from shared.data.split import future
from shared.score import score
from tests.level3.world import World


@pytest.mark.slow
def test_the_first_seed_is_the_versions_own_and_the_others_spread(
    world: World, trained: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(seed_spread, "SEEDS", seed_spread.SEEDS[:3])
    done: list[int] = []
    scores = scores_by_seed(str(trained), world.settings, lambda: done.append(1))
    ours, level2s = scores.values()
    assert (len(done), len(ours), len(level2s)) == (6, 3, 3)
    later = future(load_flights(world.settings), world.settings.now)
    model = registry.load_version(world.client, registry.get(world.client, str(trained)))
    assert ours[0] == score(later["late"], predict(model, later))
    assert 0 < stdev(one.log_loss for one in ours) < 0.003
    show_spread(scores)
    printed = capsys.readouterr().out
    assert f"3 seeds, scored on the {len(later):,} flights that came after" in printed
    assert f"{max(one.auc for one in ours):.4f}" in printed
