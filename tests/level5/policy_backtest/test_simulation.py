"""A simulated year follows the platform's calendar and its rules. The models here are as good as a test wants them."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit

from level4_deployment.control.control_plane import SHADOW_DAYS
from level5_monitoring.loop.policy import PLAN
from level5_monitoring.monitors.reference import Reference
from level5_monitoring.policy_backtest import models, simulation
from level5_monitoring.policy_backtest.models import Floats, Models, SimulatedYear, faulty_year, losses_by_day, shift
from level5_monitoring.policy_backtest.simulation import Loop, Platform, by_calendar, simulate

START, END = "2013-04-01", "2013-05-20"


class MadeModels(Models):
    """A model that knows which flights will be late, and is wrong about some. It is calibrated; a spoiled one not."""

    better_from = "2013-04-10"

    def _train(self, night: str, _without: Sequence[str], spoiled: bool) -> Floats:
        wrong = 0.2 if night >= self.better_from else 0.3
        late = self.year.truth == 1
        day = self.year.flights["flight_id"].str[:10]
        rate = pd.Series(late).groupby(day).transform("mean").clip(0.01, 0.99).to_numpy()
        seen = late ^ (np.random.default_rng(0).random(len(late)) < wrong)
        found = expit(logit(rate) + np.where(seen, 1, -1) * logit(1 - wrong))  # Bayes' rule
        found = 1 - found if spoiled else found
        return np.where(self.year.flights["predicted_at"] >= models.midnight(night), found, np.nan)

    def _evaluate(self, night: str, without: Sequence[str], spoiled: bool) -> pd.DataFrame:
        test = self.test_rows(night, without)
        rows = self.year.names.get_indexer(pd.Index(test["flight_id"]))
        return losses_by_day(test, self._train(START[:4], without, spoiled)[rows])


@pytest.fixture
def year(flights: pd.DataFrame) -> SimulatedYear:
    """The year to the end of May."""
    spring = flights[flights["predicted_at"] < models.midnight("2013-06-01")]
    return SimulatedYear(spring, spring["late"].to_numpy(float))


def answered_by(platform: Platform, day: str) -> list[int]:
    return sorted(set(platform.version[platform.year.asked[day]]))


def test_a_calendar_goes_live_at_once_and_a_tried_version_after_its_trial(year: SimulatedYear) -> None:
    """First it is in shadow, then most flights get it; an equal one is promoted after the planned days."""
    models, night = MadeModels(year), "2013-04-15"
    models.better_from = "2014-01-01"
    at_once = simulate(models, START, END, by_calendar([START, night]))
    assert [answered_by(at_once, day) for day in ("2013-04-14", night)] == [[1], [2]]
    tried = simulate(models, START, END, by_calendar([START, night], tried=True))
    live, promoted = shift(night, SHADOW_DAYS + 2), shift(night, PLAN["max_days"] + 2)
    days = [shift(live, -1), live, shift(promoted, -1), promoted]
    assert [answered_by(tried, day) for day in days] == [[1], [1, 2], [1, 2], [2]]
    share = float((tried.version[year.asked[live]] == 2).mean())
    assert share == pytest.approx(PLAN["share"], abs=0.04)


def test_a_version_that_learnt_wrong_labels_is_refused_by_the_gate_and_live_by_the_calendar(
    year: SimulatedYear,
) -> None:
    spoiled, night = MadeModels(replace(year, spoiled_from="2013-04-10")), "2013-04-15"
    at_once = simulate(spoiled, START, END, by_calendar([START, night]))
    assert at_once.spoiled == 2
    assert answered_by(at_once, END) == [2]
    tried = simulate(spoiled, START, END, by_calendar([START, night], tried=True))
    assert tried.refused == [2]
    assert answered_by(tried, END) == [1]


def test_the_loop_retrains_by_plan_tries_and_promotes_averages(
    year: SimulatedYear, reference: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simulation, "build_reference", lambda _known: reference)
    models = MadeModels(year)
    loop = Loop(models, START)
    platform = simulate(models, START, END, loop)
    acts = [(one.day, one.kind, one.cause) for one in loop.decisions if one.kind in ("retrain", "promote")]
    assert acts[0] == ("2013-04-19", "retrain", "growth")
    assert [kind for _, kind, _ in acts[:3]] == ["retrain", "promote", "retrain"]
    rows = year.asked[shift("2013-04-21", PLAN["max_days"] + 3)]
    log_odds = [logit(models.train(night)[rows]) for night in (START, "2013-04-21")]
    assert platform.answer[rows] == pytest.approx(expit(np.mean(log_odds, axis=0))), "the mean of both"


def test_labels_that_are_inverted_end_the_trial_and_are_left_out_of_the_next_training(
    year: SimulatedYear, reference: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simulation, "build_reference", lambda _known: reference)
    wrong = year.flights["flight_id"].str[:10].between("2013-04-24", "2013-04-26")
    sent = year.flights.assign(late=year.flights["late"].where(~wrong, 1 - year.flights["late"]))
    models = MadeModels(replace(year, flights=sent))
    trained: list[tuple[str, ...]] = []
    own = models.train

    def train(night: str, without: Sequence[str] = (), *, spoiled: bool = False) -> Floats:
        trained.append(tuple(without))
        return own(night, without, spoiled=spoiled)

    monkeypatch.setattr(models, "train", train)
    loop = Loop(models, START)
    simulate(models, START, END, loop)
    kinds = {one.day: one.kind for one in loop.decisions}
    assert kinds["2013-04-24"] == "stop_experiment"
    assert trained[2] == tuple(f"2013-04-{day}" for day in range(24, 30)), "until four days were right"


def test_the_year_with_faults_differs_from_the_real_one_where_a_fault_is(flights: pd.DataFrame) -> None:
    """And only by faults that begin in it."""
    faulty = faulty_year(flights, "2013-07-15")
    assert faulty_year(flights, "2013-09-03").flights.equals(flights)
    day = flights["flight_id"].str[:10]
    assert faulty.flights["flight_id"].equals(flights["flight_id"])
    delays = faulty.flights["airport_delay_3h"].ne(flights["airport_delay_3h"]) & flights["airport_delay_3h"].notna()
    assert (day[delays].min(), day[delays].max()) == ("2013-07-15", "2013-07-24")
    labels = faulty.flights["late"].ne(flights["late"]) & flights["late"].notna()
    assert (day[labels].min(), day[labels].max()) == ("2013-09-02", "2013-09-08")
    assert np.array_equal(faulty.truth, flights["late"].to_numpy(float), equal_nan=True)
