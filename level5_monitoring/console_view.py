"""What a terminal shows while the year goes by: what stands now, moving; a line for each decision and each act."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pandas as pd
from rich.status import Status

from level4_deployment.experiment import experiment_store
from level4_deployment.replay_client import ReplayStats
from level5_monitoring.loop import loop_store
from level5_monitoring.loop.controller import LoopController
from level5_monitoring.loop.policy import Decision
from shared.console import console
from shared.data.replay import Tick
from shared.settings import NEW_YORK

QUIET = ("no_action", "notify")  # decisions that change nothing


class ConsoleView:
    """Tells as the year goes by."""

    def __init__(self, loop: LoopController) -> None:
        self.loop = loop
        self.acts = len(experiment_store.acts(loop.log))
        self.status: Status | None = None

    @contextmanager
    def watch(self) -> Iterator["ConsoleView"]:
        """Show what stands now while the block runs."""
        with console.status("the first flights are asked for") as self.status:
            yield self

    def decided(self, decision: Decision) -> None:
        """A line for a decision that changes something."""
        if decision.kind not in QUIET:
            console.print(f"  {_date(decision.day)} [bold]{decision.kind}[/bold]: {decision.reason}")

    def tell(self, tick: Tick, played: ReplayStats) -> None:
        """What stands now; where there is no terminal to move on, a line each Monday."""
        local = tick.end.tz_convert(NEW_YORK)
        for act in self._new_acts():
            change = f"{act['old_value'] or 'none'} → {act['new_value'] or 'none'}"
            console.print(f"  {local:%b %d} [dim]{act['action']} {change}, by {act['actor']}[/dim]")
        now = f"{local:%b %d}  {played.flights:,} flights answered, {played.failed} requests failed{self._loss()}"
        if self.status:
            self.status.update(now)
        if local.weekday() == 0 and not console.is_terminal:
            console.print(f"  {now}")

    def _new_acts(self) -> list[dict[str, object]]:
        trail = experiment_store.acts(self.loop.log)
        new, self.acts = trail[self.acts :], len(trail)
        return new

    def _loss(self) -> str:
        days = loop_store.last_performance(self.loop.log, 7)
        if days.empty:
            return ""
        loss = np.average(days["loss"], weights=days["flights"])
        return f"; log loss of the last {len(days)} closed days {loss:.3f} (version {days['version'].iloc[-1]})"


def _date(day: str) -> str:
    return f"{pd.Timestamp(day):%b %d}"
