"""What `make level4` sees while the stream plays: how things stand, each act, and which package serves where."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from level4_deployment.control.audit import describe_change
from level4_deployment.control.client import PlatformClient
from level4_deployment.delivery.flow import Deployed
from level4_deployment.replay_client import ReplayStats
from level4_deployment.serving.reloader import wait_for_workers, workers
from shared.console import console, show_table
from shared.data.replay import Tick
from shared.settings import NEW_YORK

STAGES = ("train", "test", "shadow", "live", "production")
Digests = dict[str, set[str]]  # by stage


@dataclass
class ConsoleView:
    """Tells how the stream goes: what stands now, moving on a terminal; a line each week, and one for each act.

    served: the digests with which the workers were seen to serve a version, by stage.
    """

    control: PlatformClient
    home: Path
    told: int = 0
    served: dict[int, Digests] = field(default_factory=lambda: defaultdict(lambda: defaultdict(set)))

    @contextmanager
    def watch(self) -> Iterator[Callable[[Tick, ReplayStats], None]]:
        """Give what is to be called after each hour of the stream; it looks at the platform once a day."""
        with console.status("the first flights are asked for") as status:

            def tell(tick: Tick, played: ReplayStats) -> None:
                local = tick.start.tz_convert(NEW_YORK)
                if local.hour:
                    return
                now = f"{local:%b %d}  {played.flights:,} flights answered, {played.labels:,} outcomes{_so_far(played)}"
                status.update(now)
                self._tell_acts(f"{local:%b %d}")
                self._look()
                if local.weekday() == 0:
                    console.print(f"  {now}")

            yield tell
            wait_for_workers(self.home)  # for what the last hour has decided
            self._look()

    def _tell_acts(self, day: str) -> None:
        trail = self.control.get("/audit")
        for act in trail[self.told :]:
            console.print(f"  {day}  {act['action']} {describe_change(act)}, by {act['actor']}: {act['reason']}")
        self.told = len(trail)

    def _look(self) -> None:
        for worker in workers(self.home):
            stages = {"champion": "production", "challenger": "live" if worker["share"] else "shadow"}
            for role, stage in stages.items():
                if model := worker[role]:
                    self.served[model["version"]][stage].add(model["digest"])


def show_digests(deployed: Deployed, served: Digests) -> Digests:
    """Print the package's digest at every stage that the version has reached, as each saw it itself; returns them."""
    every = {"train": {deployed.digest}, "test": {deployed.report.digest}, **served}
    stages = {stage: every[stage] for stage in STAGES if stage in every}
    rows = [[stage, ", ".join(sorted(seen))] for stage, seen in stages.items()]
    show_table(f"Version {deployed.version}: one package", ["Stage", "Digest"], rows)
    return stages


def in_a_line(stages: Digests) -> str:
    """One line of evidence."""
    every = sorted(set.union(*stages.values()))
    digests = f"{len(every)} digest{'s' * (len(every) > 1)}, {', '.join(digest[:8] for digest in every)}"
    return f"{' > '.join(stages)}: {digests}, at {len(stages)} stages"


def _so_far(played: ReplayStats) -> str:
    """How the experiment stands, by the last verdict."""
    last = played.verdicts[-1] if played.verdicts else None
    if not last or last["kind"] != "running" or last["lower"] is None:
        return ""
    return f"; gain so far {last['mean']:+.4f} nats, {last['lower']:+.4f} to {last['upper']:+.4f}, day {last['day']}"
