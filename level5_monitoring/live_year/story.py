"""The year's story in the terminal, night by night: faults, alarms, retrainings, promotions, and some figures."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa

from level4_deployment.control import audit
from level4_deployment.experiment import experiment_store
from level4_deployment.replay_client import ReplayStats
from level5_monitoring.live_year.fault_injection import FAULTS
from level5_monitoring.live_year.faulty_year import EVERYWHERE, SPOILED, FaultyTables, feed_faults
from level5_monitoring.live_year.year_record import InjectedFault, write_faults
from level5_monitoring.loop import loop_store
from level5_monitoring.loop.controller import CLOSES_AFTER
from level5_monitoring.loop.policy import DATA, FAILED, LABELS, REFUSED, Decision, by_monitor
from level5_monitoring.monitors.monitor_result import in_words
from shared.console import print_styled
from shared.data.replay import Tick
from shared.moving_line import Working
from shared.settings import NEW_YORK


class Story:
    """Prints what happened, under the night in which it did; and keeps the faults for the page (home: this level's)."""

    def __init__(
        self, log: sa.Engine, home: Path, tables: FaultyTables | None = None, status: Working | None = None
    ) -> None:
        self.log, self.home, self.tables, self.status = log, home, tables, status
        self.actions_printed = len(audit.trail(log))
        self.in_alarm: dict[str, int] = {}  # by monitor of data or labels, on how many days so far
        self.deferred = ""  # why the retraining of the day before was
        self.faults: dict[str, InjectedFault] = {}

    def print_decision(self, decision: Decision) -> None:
        """Print which alarms begin and end, and what the decision came to; nothing daily."""
        night = pd.Timestamp(decision.day) + CLOSES_AFTER
        self._print_alarms(night, decision)
        [result] = [one["result"] for one in loop_store.decisions(self.log, decision.day)]
        failed = result.get(REFUSED) or result.get(FAILED)
        if decision.kind == "retrain":
            self._print_training(night, decision, result, failed)
        elif decision.kind == "promote":
            outcome = f"refused: {failed}" if failed else _gain(self.log, result)
            self._line(night, f"version {result.get('version', '')} promoted", outcome)
        elif decision.kind == "roll_back":
            self._line(night, "rolled back", failed or f"to version {result['version']}; {decision.reason}")
        elif decision.kind == "stop_experiment" and decision.cause != "contract" and not self.in_alarm:
            self._line(night, "experiment stopped", decision.reason)
        if decision.kind == "defer" and decision.cause not in ("labels", self.deferred):
            self._line(night, f"retraining deferred ({in_words(decision.cause)})", "")
        self.deferred = decision.cause if decision.kind == "defer" else ""

    def print_night(self, tick: Tick, played: ReplayStats) -> None:
        """Print which faults begin and end, which challengers the platform rejected, and the figures of a month."""
        night = tick.end.tz_convert(NEW_YORK).tz_localize(None).normalize()
        actions = audit.trail(self.log)
        for act in actions[self.actions_printed :]:
            if act["action"] == audit.END and act["new_value"] in experiment_store.LOST:
                self._line(night, f"version {act['version']} {act['new_value']}", act["reason"])
        self.actions_printed = len(actions)
        self._print_faults(night)
        figures = f"{played.flights:,} flights answered, {played.failed} requests failed{self._loss()}"
        if self.status:
            self.status.update(f"{night:%d %b}  {figures}")
        if night.day == 1:
            self._line(night, "", figures)

    def _print_alarms(self, night: pd.Timestamp, decision: Decision) -> None:
        active = by_monitor(decision.alarms, *DATA, *LABELS)
        now = [*dict.fromkeys(str(one.monitor) for one in active)]
        for monitor in now:
            if monitor not in self.in_alarm:
                first, *more = [one.described_target for one in by_monitor(active, monitor)]
                about = f"{first}{f' and {len(more)} more' if more else ''} on {pd.Timestamp(decision.day):%d %b}"
                self._line(night, f"{in_words(monitor)} alarm", f"{about}; no training", "red")
            self.in_alarm[monitor] = self.in_alarm.get(monitor, 0) + 1
        for monitor in [one for one in self.in_alarm if one not in now]:
            days = self.in_alarm.pop(monitor)
            self._line(night, f"{in_words(monitor)} alarm over", f"later trainings leave its {days} days out")

    def _print_training(
        self, night: pd.Timestamp, decision: Decision, result: dict[str, Any], failed: str | None
    ) -> None:
        if self.tables and self.tables.spoiled == (today := str(night.date())):
            self._line(night, "fault", "this training has learnt labels of other flights", "yellow")
            self._keep(InjectedFault("spoiled training", 1, SPOILED, "one training", today, today))
        cause = in_words(decision.cause)
        if REFUSED in result:  # the line of the training has the reason
            self._line(night, f"retrained ({cause})", "refused; the champion keeps serving", "red")
        elif failed:
            self._line(night, f"not retrained ({cause})", failed.partition(" Remedy:")[0], "red")
        elif decision.cause != "growth":  # which is planned: the line of the training says enough
            self._line(night, f"retrained ({cause})", f"version {result['version']} passed the gates")

    def _print_faults(self, night: pd.Timestamp) -> None:
        day, before = str(night.date()), str((night - pd.Timedelta(days=1)).date())
        for one in feed_faults(self.tables.begin) if self.tables else ():
            if one.first <= day and one.fault not in self.faults:
                size = FAULTS[one.fault].sizes[EVERYWHERE - 1]
                self._line(night, "fault begins", f"{one.what}, {size}", "yellow")
                self._keep(InjectedFault(one.fault, EVERYWHERE, one.what, size, one.first))
            if one.last <= before and not self.faults[one.fault].until:
                self._line(night, "fault ends", one.what, "yellow")
                self._keep(replace(self.faults[one.fault], until=one.last))

    def _keep(self, fault: InjectedFault) -> None:
        self.faults[fault.fault] = fault
        write_faults(self.home, self.faults.values())

    def _loss(self) -> str:
        """Of the last seven days, without those in alarm: labels that are wrong say nothing about the model."""
        days = loop_store.last_performance(self.log, 7).query("excluded_reason == ''")
        if days.empty:
            return ""
        loss = np.average(days["loss"], weights=days["flights"])
        return f"; log loss of {len(days)} days {loss:.3f}"

    @staticmethod
    def _line(night: pd.Timestamp, what: str, about: str, style: str = "bold") -> None:
        print_styled(f"  {night:%d %b} ", (what, style), f"{': ' if what and about else ''}{about}")


def _gain(log: sa.Engine, result: dict[str, Any]) -> str:
    """What the experiment showed from which a version was promoted."""
    one = next((one for one in experiment_store.find(log) if one.experiment == result.get("experiment")), None)
    if one is None or one.verdict is None or one.verdict.mean is None:
        return ""
    shown = "better" if one.verdict.kind == "promote" else "non-inferior"
    return f"{shown} after {one.verdict.day} days, gain {one.verdict.mean:+.3f} nats"
