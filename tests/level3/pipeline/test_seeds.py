"""`make seeds` prints the spread of real trainings; `make score` calls a change better or worse only beyond chance."""

from dataclasses import replace
from statistics import stdev

import numpy as np
import pytest

from level2_devops.model import predict
from level3_training_pipeline.pipeline import seeds, tune
from level3_training_pipeline.pipeline.seeds import Scored, compare, measure, scores_by_seed, show_spread
from level3_training_pipeline.tracking import registry
from shared.data.flights import load_flights
from shared.data.split import future
from shared.errors import UserError
from shared.score import score
from shared.settings import Settings
from tests.level3.world import World
from tests.support import lend_flights

ROWS = [6_000] * 39


def scored(gain: float = 0.0, seed: int = 0) -> Scored:
    """Losses of 39 weeks and 4 seeds; weeks differ by 0.08 (SD), seeds by 0.0005, as on the real year."""
    weeks = np.random.default_rng(1).normal(0.465, 0.08, 39)
    noise = np.random.default_rng(seed)
    losses = [weeks - gain + noise.normal(0, 0.0005) + noise.normal(0, 0.001, 39) for _ in range(4)]
    return Scored("0123456789abcdef", "code", "flights", ROWS, [one.tolist() for one in losses])


@pytest.mark.parametrize(
    ("gain", "finding"),
    [(0.003, "Better: log loss 0.00"), (-0.003, "Worse: log loss 0.00"), (0.0001, "Cannot tell: log loss 0.00")],
)
def test_the_finding_has_its_figures_rows_and_units(gain: float, finding: str) -> None:
    told = compare(scored(), scored(gain, seed=1))
    assert told.startswith(finding)
    assert "nats per flight" in told
    assert "than of commit 01234567 " in told
    assert "95% interval" in told
    assert "234,000 flights, 39 weeks, 4 seeds" in told


def test_a_change_of_nothing_is_seldom_called_better_or_worse() -> None:
    told = [compare(scored(seed=2 * i), scored(seed=2 * i + 1)) for i in range(200)]
    assert sum(not one.startswith("Cannot tell") for one in told) <= 20, "5% of 200, and chance"


def test_other_flights_are_not_compared() -> None:
    with pytest.raises(UserError, match=r"other flights or labels.*Remedy: make score KEEP=1"):
        compare(scored(), replace(scored(), flights="others"))


@pytest.mark.slow
@pytest.mark.usefixtures("flights")
def test_a_model_of_few_trees_is_worse_on_the_real_year(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    lend_flights(settings.state)
    monkeypatch.setattr(seeds, "COMPARED", (0, 1))
    done: list[int] = []
    monkeypatch.setattr(tune, "START", tune.START | {"max_iter": 20})
    kept = measure(settings, lambda: done.append(1))
    monkeypatch.setattr(tune, "START", tune.START | {"max_iter": 5})
    now = measure(settings, lambda: done.append(1))
    assert (len(done), sum(now.rows), len(now.rows)) == (4, 249_435, 40)
    assert compare(kept, now).startswith("Worse: ")


@pytest.mark.slow
def test_the_first_seed_is_the_versions_own_and_the_others_spread(
    world: World, trained: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(seeds, "SEEDS", seeds.SEEDS[:3])
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
