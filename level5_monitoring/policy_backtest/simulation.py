"""A year under a retraining policy, simulated offline: all that decides is the platform's own code.

Monitors, policy, quality gate, plan and verdict are the platform's own functions, on the same flights. What is left out
changes no prediction: HTTP, log and registry, the gates of parity and latency, and drift, which only notifies. A day of
departure is closed two nights later.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from level4_deployment.control.control_plane import SHADOW_DAYS
from level4_deployment.delivery.gates import judge_quality
from level4_deployment.experiment.assignment import CHALLENGER, arm
from level4_deployment.experiment.design import Plan, Verdict, judge, make_plan
from level5_monitoring.loop import policy
from level5_monitoring.loop.policy import PLAN, Decision, PolicyState
from level5_monitoring.monitors import performance
from level5_monitoring.monitors.data_quality import check_contract
from level5_monitoring.monitors.labels import check_labels
from level5_monitoring.monitors.monitor_result import MonitorResult
from level5_monitoring.monitors.reference import Reference, build_reference
from level5_monitoring.monitors.window import as_window
from level5_monitoring.policy_backtest.models import Models, Rows, Version, losses_by_day, midnight, shift
from shared.data.split import history
from shared.score import log_losses

CLOSES_AFTER = 2  # nights from the begin of a day of departure


@dataclass(eq=False)
class Trial:
    """An experiment. night: on which it began; days: rows of EXPERIMENT_DAYS, of the closed days."""

    name: str
    champion: Version
    challenger: Version
    plan: Plan
    night: str
    share: float = 0.0
    days: list[dict[str, Any]] = field(default_factory=list)
    verdict: Verdict | None = None


class Platform:
    """The platform of one policy: champion, trial and answers, night by night.

    answer: (n,) the probability that the user got. version: (n,) which one gave it, 0 where none did. before: (n,) what
    that version's predecessor would have given.
    """

    def __init__(self, models: Models, start: str) -> None:
        self.models, self.year = models, models.year
        count = len(self.year.flights)
        self.answer, self.before = np.full(count, np.nan), np.full(count, np.nan)
        self.version, self.arms = np.zeros(count, int), np.zeros(count, int)
        self.trainings, self.trials = 0, 0
        self.spoiled: int | None = None  # the version that learnt from wrong labels
        self.refused: list[int] = []  # versions that failed the gate
        self.predecessor: dict[int, Version] = {}
        self.champion = self.train(start)
        self.promoted = [self.champion]
        self.trial: Trial | None = None
        self.ended: Trial | None = None  # the newest trial with a verdict

    def train(self, night: str, without: Sequence[str] = (), *, averaged: bool = False) -> Version:
        """A new version, of what is known at night; or, if `averaged`, its mean with the champion.

        The mean of log-odds, which is what `average` makes of the trees, but for codes that only one of them knows.
        """
        self.trainings += 1
        spoiled = self.spoiled is None and self.trainings > 1 and night >= self.year.spoiled_from
        if spoiled:
            self.spoiled = self.trainings
        found = self.models.train(night, without, spoiled=spoiled)
        if averaged:
            found = expit((logit(found) + logit(self.champion.probability)) / 2)
        return Version(self.trainings, night, found, lambda: self.models.evaluate(night, without, spoiled=spoiled))

    def promote(self, version: Version) -> None:
        """Make a version the champion; a trial of another one ends."""
        self.predecessor.setdefault(version.number, self.champion)
        self.champion, self.trial = version, None
        self.promoted.append(version)

    def submit(self, version: Version, without: Sequence[str] = ()) -> bool:
        """Put a version through the quality gate, and try it against the champion; returns whether it passed."""
        test = self.models.test_rows(version.night, without)
        since = test[test["predicted_at"] >= midnight(self.champion.night)]
        theirs = [self.champion.evaluate()]
        if len(since):
            rows = self.year.names.get_indexer(pd.Index(since["flight_id"]))
            theirs.append(losses_by_day(since, self.champion.probability[rows]))
        differences, gate = judge_quality(version.evaluate(), pd.concat(theirs), self.champion.number)
        if not gate.passed:
            self.refused.append(version.number)
            return False
        self.trials += 1
        name = f"{version.number}-against-{self.champion.number}-no{self.trials}"
        self.trial = Trial(name, self.champion, version, make_plan(differences, **PLAN), version.night)
        self.predecessor.setdefault(version.number, self.champion)
        return True

    def close_day(self, night: str) -> None:
        """Count the day that is closed now for the trial, and judge it."""
        day, trial = shift(night, -CLOSES_AFTER), self.trial
        if trial is None or trial.verdict or day <= trial.night:  # it may have begun within its first day
            return
        trial.days.append(self._measured(trial, day))
        verdict = judge(trial.plan, pd.DataFrame(trial.days))
        if verdict.kind in ("running", "blocked"):
            if trial.share == 0 and len(trial.days) >= SHADOW_DAYS:
                trial.share = trial.plan.share
            return
        trial.verdict = verdict
        self.ended = trial
        if verdict.kind != "promote":
            self.trial = None

    def _measured(self, trial: Trial, day: str) -> dict[str, Any]:
        rows = self.year.departing.get(day, np.empty(0, int))
        both = rows[~np.isnan(trial.challenger.probability[rows] + self.year.labels[rows])]
        late = self.year.labels[both]
        gains = log_losses(late, trial.champion.probability[both]) - log_losses(
            late, trial.challenger.probability[both]
        )
        return {
            "day": day,
            "flights": len(both),
            "mean_loss_difference": float(gains.mean()) if len(both) else None,
            "champion_arm": int((self.arms[rows] == 1).sum()),
            "challenger_arm": int((self.arms[rows] == 2).sum()),
        }

    def serve(self, night: str) -> None:
        """Answer the flights of the day that begins."""
        rows, trial = self.year.asked.get(night, np.empty(0, int)), self.trial
        by = np.ones(len(rows), int)
        if trial and trial.share:
            names = self.year.flights["flight_id"].to_numpy()[rows]
            by += np.array([arm(trial.name, trial.share, name) == CHALLENGER for name in names], int)
            self.arms[rows] = by
        for which, version in ((1, self.champion), (2, trial.challenger if trial else self.champion)):
            mine = rows[by == which]
            self.answer[mine], self.version[mine] = version.probability[mine], version.number
            if before := self.predecessor.get(version.number):
                self.before[mine] = before.probability[mine]


Turn = Callable[[Platform, str], None]  # what a policy does in a night


def simulate(models: Models, start: str, end: str, turn: Turn) -> Platform:
    """The year of one policy, from the night `start` to the day `end`."""
    platform = Platform(models, start)
    night = start
    while night <= end:
        if night > start:
            platform.close_day(night)
            turn(platform, night)
        platform.serve(night)
        night = shift(night, 1)
    return platform


def by_calendar(nights: Collection[str], *, tried: bool = False, averaged: bool = False) -> Turn:
    """Train on these nights. The model is live at once; or, if `tried`, it goes through the gate and a trial first.

    averaged: each model is the mean with the one before it, as the loop's are.
    """

    def turn(platform: Platform, night: str) -> None:
        won, platform.ended = platform.ended, None
        if won and won.verdict and (won.verdict.kind == "promote" or won.verdict.non_inferior):
            platform.promote(won.challenger)
        if night in nights:
            version = platform.train(night, averaged=averaged)
            if not tried:
                platform.promote(version)
            elif platform.trial is None:
                platform.submit(version)

    return turn


class Loop:
    """The loop's turn of each night: its monitors, its policy, and what it does."""

    def __init__(self, models: Models, start: str) -> None:
        self.reference: Reference = build_reference(history(models.year.flights, midnight(start)))
        self.first_day = start
        self.decisions: list[Decision] = []
        self.measured: list[performance.DayPerformance] = []
        self.in_doubt: dict[str, MonitorResult] = {}
        self.retrained: dict[str, int] = {}  # by day, the version
        self.rolled_back: list[int] = []
        self.moved_by_rollback = False
        self.promoted_from: list[Trial] = []

    def __call__(self, platform: Platform, night: str) -> None:
        """Monitor the day that is closed now, decide, act."""
        day = shift(night, -CLOSES_AFTER)
        if day < self.first_day:
            return
        results = self._monitor(platform, day)
        decision = policy.decide(day, results, self._state(platform))
        if suspect := policy.evidence_of_doubt(decision.alarms, results):
            self.in_doubt[day] = suspect
        self.decisions.append(decision)
        self._act(platform, decision, night)

    def _state(self, platform: Platform) -> PolicyState:
        trial, newest = platform.trial, self.decisions[-1] if self.decisions else None
        ended = platform.ended
        non_inferior = ended if ended and not trial and self._may_follow(ended, platform) else None
        judged = trial or non_inferior
        counted = {one["day"] for one in judged.days} if judged else set()
        return PolicyState(
            alarms=newest.alarms if newest else (),
            first_day=self.first_day if newest else "",
            retrainings=tuple(self.retrained),
            champion_trained=max(
                (day for day, n in self.retrained.items() if n == platform.champion.number), default=""
            ),
            running_experiment=trial.name if trial else "",
            awaits_approval=bool(trial and trial.verdict),
            non_inferior_experiment=non_inferior.name if non_inferior else "",
            suspect_days=tuple(sorted(counted & self.in_doubt.keys())),
            rolled_back=tuple(self.rolled_back),
            last_cause=newest.cause if newest else "",
            in_doubt=tuple(self.in_doubt.values()),
        )

    def _may_follow(self, ended: Trial, platform: Platform) -> bool:
        shown = bool(ended.verdict and ended.verdict.non_inferior)
        return shown and ended not in self.promoted_from and ended.champion is platform.champion

    def _monitor(self, platform: Platform, day: str) -> list[MonitorResult]:
        year = platform.year
        rows = year.departing.get(day, np.empty(0, int))
        rows = rows[~np.isnan(platform.answer[rows])]
        flights = year.flights.iloc[rows].assign(late=year.labels[rows])
        window = as_window(flights, platform.answer[rows], 0).assign(version=platform.version[rows])
        results = check_contract(window, self.reference, day) + check_labels(window, day)
        before = self.decisions[-1].alarms if self.decisions else ()
        excluded = policy.excluded_reason(policy.active_alarms(day, before, results))
        return results + self._check_champion(platform, day, window, rows, excluded)

    def _check_champion(
        self, platform: Platform, day: str, window: pd.DataFrame, rows: Rows, excluded: str
    ) -> list[MonitorResult]:
        champion = platform.champion.number
        previous = None if self.moved_by_rollback else platform.predecessor.get(champion)
        before = None
        if previous:
            before = performance.Previous(
                previous.number, lambda own: previous.probability[rows[own.index]].astype(float)
            )
        rate = performance.base_rate(pd.DataFrame(self.measured, columns=performance.COLUMNS))
        if measured := performance.measure(window, champion, before, rate=rate, excluded_reason=excluded):
            self.measured.append(measured)
        days = pd.DataFrame(self.measured, columns=performance.COLUMNS)
        tried = [day for one in self.promoted_from[-1:] for day in one.days if day["flights"]]
        gains = [float(day["mean_loss_difference"]) for day in tried]
        return performance.check_champion(day, champion, days, previous.number if previous else None, gains)

    def _act(self, platform: Platform, decision: Decision, night: str) -> None:
        trial = platform.trial or platform.ended
        match decision.kind:
            case "retrain":
                without = policy.days_left_out(decision)
                version = platform.train(night, without, averaged=True)
                self.retrained[decision.day] = version.number
                platform.submit(version, without)
            case "promote" if trial:
                self.promoted_from.append(trial)
                self.moved_by_rollback = False
                platform.promote(trial.challenger)
            case "roll_back":
                bad = platform.champion
                self.rolled_back.append(bad.number)
                self.moved_by_rollback = True
                platform.promote(platform.predecessor[bad.number])
            case "stop_experiment":
                platform.trial = None
