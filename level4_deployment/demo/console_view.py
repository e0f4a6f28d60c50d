"""Replay live flights through the platform, and show on the console how the experiment proceeds."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

from level4_deployment.control.audit import describe
from level4_deployment.control.client import PlatformClient
from level4_deployment.delivery.flow import Deployed
from level4_deployment.replay_client import ReplayStats, replay_over_http
from level4_deployment.serving.reloader import wait_for_workers, workers
from shared.console import console, working
from shared.data.replay import Tick
from shared.files import short_digest
from shared.settings import NEW_YORK

STAGES = ("train", "test", "shadow", "live", "production")
Digests = dict[str, set[str]]  # by stage


@dataclass
class ConsoleView:
    """Shows a status line that is updated daily, a line for each week, and one for each row of the audit trail.

    digests: of each version, the package digests that the workers reported, by stage.
    """

    home: Path
    feed: PlatformClient
    shown: int = 0  # rows of the audit trail
    digests: dict[int, Digests] = field(default_factory=lambda: defaultdict(lambda: defaultdict(set)))

    def replay(self, ticks: Iterable[Tick], service: str) -> ReplayStats:
        """Replay the ticks, and look at the platform at midnight of each day."""
        with working("Requesting the first predictions") as status:

            def after_tick(tick: Tick, stats: ReplayStats) -> None:
                local = tick.start.tz_convert(NEW_YORK)
                if local.hour:
                    return
                gain = _latest_gain(stats)
                line = f"{local:%Y-%m-%d}  {stats.flights:,} predictions{gain}"
                status.update(line)
                self._show_audit_trail(f"{local:%Y-%m-%d}")
                self._collect_digests()
                if local.weekday() == 0 and (gain or (stats.flights and not console.is_interactive)):
                    console.print(f"  {line}")

            stats = replay_over_http(ticks, service, self.feed, after_tick)
            wait_for_workers(self.home)  # the last hour may have changed the routes
            self._collect_digests()
        return stats

    def _show_audit_trail(self, day: str) -> None:
        trail = self.feed.get("/audit")
        new = trail[self.shown :]
        for row, following in zip_longest(new, new[1:]):
            same = following and following["reason"] == row["reason"]  # printed once, with the last of them
            console.print(f"  {day}  {describe(row)}{'' if same else ': ' + row['reason']}")
        self.shown = len(trail)

    def _collect_digests(self) -> None:
        for worker in workers(self.home):
            stages = {"champion": "production", "challenger": "live" if worker["share"] else "shadow"}
            for role, stage in stages.items():
                if model := worker[role]:
                    self.digests[model["version"]][stage].add(model["digest"])


def digests_by_stage(deployed: Deployed, served: Digests) -> Digests:
    """The package digests that each stage reported, for every stage that the version has reached."""
    every = {"train": {deployed.digest}, "test": {deployed.report.digest}, **served}
    return {stage: every[stage] for stage in STAGES if stage in every}


def digests_in_a_line(stages: Digests) -> str:
    """One line of evidence."""
    every = sorted(set.union(*stages.values()))
    return f"{', '.join(map(short_digest, every))} at {', '.join(stages)}"


def _latest_gain(stats: ReplayStats) -> str:
    """The estimate of the last verdict, while the experiment goes on."""
    last = stats.verdicts[-1] if stats.verdicts else None
    if not last or last["kind"] != "running" or last["lower"] is None:
        return ""
    return f", day {last['day']}: gain {last['mean']:+.4f} ({last['lower']:+.4f} to {last['upper']:+.4f}) nats"
