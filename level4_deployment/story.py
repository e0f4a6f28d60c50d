"""What `make level4` shows: the platform it starts, the refusals it provokes, the experiments as they go on."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import httpx
import pandas as pd
import sqlalchemy as sa
from mlflow import MlflowClient

from level2_devops import predict, traffic
from level3_training_pipeline import prefect_server, registry, run_flow
from level4_deployment.candidates import TOO_FEW_TREES, register_by_hand
from level4_deployment.client import PlatformClient, runs
from level4_deployment.experiments import Experiment, days_of, find
from level4_deployment.explain import explain, show
from level4_deployment.flow import Deployed, deployment
from level4_deployment.log import OUTCOMES, PREDICTIONS, open_log, url_of
from level4_deployment.plots import verdict_plot
from level4_deployment.publish import ARTEFACTS, publish
from level4_deployment.stream import Played, as_requests
from level4_deployment.verdict import judge
from shared.console import console, show_table, step
from shared.errors import UserError
from shared.replay import Tick
from shared.score import Score, by_slice, score
from shared.settings import FIRST_TODAY, LAST_TODAY, NEW_YORK, Settings


def empty_home(settings: Settings) -> Path:
    """A platform's folder with nothing in it; what the last run left is kept beside it, until the next."""
    home, before = settings.level("level4"), settings.state / "level4-before"
    if runs(home):
        raise UserError(f"a platform runs in {home}. Remedy: end it with Ctrl-C first.")
    shutil.rmtree(before, ignore_errors=True)
    home.rename(before)
    return settings.level("level4")


def months_around(settings: Settings) -> tuple[date, Settings, Settings]:
    """A month before today, and the settings of one and of two months later; raises UserError beyond the year."""
    today = pd.Timestamp(settings.today)
    before, one, two = ((today + pd.DateOffset(months=months)).date() for months in (-1, 1, 2))
    if before < FIRST_TODAY or two > LAST_TODAY:
        raise UserError(
            f"TODAY={settings.today}: this level trains as of a month before and plays two months after. "
            "Remedy: a TODAY from 2013-04-01 to 2013-11-01."
        )
    return before, replace(settings, today=one), replace(settings, today=two)


def refusals(
    server: prefect_server.PrefectServer, client: MlflowClient, settings: Settings, home: Path
) -> dict[str, str]:
    """Put a damaged package and a worse model before the gates; returns what they were refused for."""
    with step("Train a model of ten trees, register and package it"):
        worse = register_by_hand(client, settings, lambda flights: flights, TOO_FEW_TREES, "ten trees only")
        publish(client, worse)
    kept = Path(client.get_run(worse.run_id).info.artifact_uri.removeprefix("file://")) / ARTEFACTS / "model.onnx"
    whole = kept.read_bytes()
    kept.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    damaged = refused(server, worse.number, home)
    kept.write_bytes(whole)
    return {"one bit of its package changed": damaged, "ten trees": refused(server, worse.number, home)}


def refused(server: prefect_server.PrefectServer, number: int, home: Path) -> str:
    """Why the deployment flow refuses a version."""
    try:
        run_flow.run_flow(server, deployment, number, home)
    except UserError as error:
        return str(error).split(" Remedy")[0]
    raise AssertionError(f"version {number} was let through")


def show_gates(deployed: Deployed, refused: dict[str, str]) -> str:
    """Print what the gates saw; returns one line of evidence."""
    rows = [[gate.name, "passed", gate.seen] for gate in deployed.report.gates]
    rows += [[what, "refused", why] for what, why in refused.items()]
    show_table(
        f"Version {deployed.version} at the gates{', and two that must not pass' * bool(refused)}",
        ["", "", "Seen"],
        rows,
    )
    return f"{len(deployed.report.gates)} gates; {len(refused)} of {len(refused)} bad candidates refused"


@dataclass
class View:
    """Tells how the stream goes: what stands now, moving on a terminal; a line each week, and one for each act."""

    control: PlatformClient
    told: int = 0

    @contextmanager
    def watch(self) -> Iterator[Callable[[Tick, Played], None]]:
        """Give what is to be called after each hour of the stream; it looks at the platform once a day."""
        with console.status("the first flights are asked for") as status:

            def tell(tick: Tick, played: Played) -> None:
                local = tick.start.tz_convert(NEW_YORK)
                if local.hour:
                    return
                now = (
                    f"{local:%b %d}  {played.flights:,} flights answered, {played.outcomes:,} outcomes{_so_far(played)}"
                )
                status.update(now)
                self._tell_acts(f"{local:%b %d}")
                if local.weekday() == 0:
                    console.print(f"  {now}")

            yield tell

    def _tell_acts(self, day: str) -> None:
        trail = self.control.get("/audit")
        for act in trail[self.told :]:
            change = f"{act['before'] or 'none'} → {act['after'] or 'none'}"
            console.print(f"  {day}  {act['act']} {change}, by {act['who']}: {act['reason']}")
        self.told = len(trail)


def _so_far(played: Played) -> str:
    """How the experiment stands, by the last verdict."""
    last = played.verdicts[-1] if played.verdicts else None
    if not last or last["kind"] != "running" or last["lower"] is None:
        return ""
    return f"; gain so far {last['mean']:+.4f} nats, {last['lower']:+.4f} to {last['upper']:+.4f}, day {last['day']}"


def same_digest(deployed: Deployed, service: str) -> str:
    """The package's digest at every stage, as each stage saw it itself; returns one line of evidence."""
    serving = httpx.get(f"{service}/ready", timeout=10, trust_env=False).json()
    stages = {"train": deployed.digest, "test": deployed.report.digest}
    if serving["champion"]["version"] == deployed.version:
        stages["production"] = serving["champion"]["digest"]
    show_table(f"Version {deployed.version}: one package", ["Stage", "Digest"], [[k, v] for k, v in stages.items()])
    return f"{' > '.join(stages)}: {len(set(stages.values()))} digest, {deployed.digest[:8]}, at {len(stages)} stages"


def show_experiments(home: Path) -> list[Experiment]:
    """Print every experiment with its figures, and draw each; returns them."""
    log = open_log(url_of(home))
    rows, done = [], find(log)
    for one in done:
        days = days_of(log, one.experiment)
        arms = {arm: int(days[f"{arm}_arm"].sum()) for arm in ("champion", "challenger")}
        verdict = judge(one.plan, days, arms)
        picture = home / f"{one.experiment}.png"
        verdict_plot(one.plan, days, verdict).savefig(picture)
        share = f"{arms['challenger'] / max(1, sum(arms.values())):.1%} of {sum(arms.values()):,}"
        name = f"{one.challenger} against {one.champion}"
        rows.append([name, one.state, f"{len(days)} days, {days['flights'].sum():,} flights", share, one.reason])
        console.print(f"  drawn: {picture}")
    columns = ["Version", "Verdict", "Judged on", "Live share (planned " + f"{done[0].plan.share:.0%})", "Why"]
    show_table("The experiments", columns, rows)
    return done


@dataclass(frozen=True)
class Drill:
    """A rollback under load: what the clients saw, and how many seconds after the command."""

    version: int
    requests: int
    failed: int
    first: float  # the first answer of the version that is back
    last: float  # the last answer of the other

    def __str__(self) -> str:
        """One line of evidence."""
        return (
            f"version {self.version} after {self.first:.2f} s, nothing else after {max(self.last, 0):.2f} s; "
            f"{self.failed} of {self.requests:,} requests failed"
        )


def roll_back_under_load(control: PlatformClient, service: str, flights: pd.DataFrame) -> Drill:
    """Roll back while clients ask without pause."""
    with traffic(service, as_requests(flights)) as seen:
        time.sleep(2.0)
        begun = time.time()
        number = control.post("/rollback", reason="a drill, under load")["routes"]["champion"]["version"]
        time.sleep(2.0)
    told = [(at - begun, version) for at, _, status, version in seen.rows if status == 200]
    first = min((at for at, version in told if version == number), default=float("nan"))
    last = max((at for at, version in told if version != number), default=float("nan"))
    drill = Drill(number, len(seen.rows), len(seen.failed), first, last)
    console.print(f"  {drill}")
    return drill


def show_served(home: Path) -> str:
    """Print the log loss of what was answered, by month of departure; returns one line of evidence."""
    columns = PREDICTIONS.c.flight_id, PREDICTIONS.c.departs_at, PREDICTIONS.c.probability, OUTCOMES.c.late
    joined = sa.select(*columns).join(OUTCOMES, OUTCOMES.c.flight_id == PREDICTIONS.c.flight_id)
    query = joined.order_by(PREDICTIONS.c.asked_at)
    with open_log(url_of(home)).connect() as connection:
        found = pd.DataFrame(connection.execute(query).mappings().all()).drop_duplicates("flight_id")  # first answers
    local = pd.to_datetime(found["departs_at"], unit="s", utc=True).dt.tz_convert(NEW_YORK)
    months = by_slice(found.assign(month=local.dt.strftime("%Y-%m")), found["probability"], "month")
    months = months[months["rows"] >= 1000]
    rows = [[str(name), f"{row.rows:,.0f}", f"{row.log_loss:.4f}"] for name, row in months.iterrows()]
    show_table("What was answered, by the log", ["", "flights with an outcome", "log loss"], rows)
    return ", ".join(f"{name}: {row.log_loss:.3f}" for name, row in months.iterrows())


def show_explanation(settings: Settings, home: Path, request: str) -> str:
    """Print where an answer comes from; returns one line of evidence."""
    explained = explain(settings, home, url_of(home), request)
    show(explained)
    version, run, commit = (explained.lineage[name] for name in ("version", "MLflow run", "commit"))
    return f"request {request[:8]} → version {version} → run {run[:8]} → commit {commit[:8]} → its data"


def score_version(client: MlflowClient, number: int, later: pd.DataFrame) -> Score:
    """A registered version on the flights that came after."""
    return score(later["late"], predict(registry.load_version(client, registry.get(client, str(number))), later))
