"""What `make level4` shows: the platform it starts, the refusals it provokes, the experiments as they go on."""

import shutil
from dataclasses import replace
from datetime import date
from pathlib import Path

import pandas as pd
from mlflow import MlflowClient

from level2_devops.model import predict
from level3_training_pipeline.orchestration import prefect_server, run_flow
from level3_training_pipeline.tracking import registry
from level4_deployment.control.client import RefusedError, is_running
from level4_deployment.control.registry_client import ARTEFACTS, NotPublishedError
from level4_deployment.delivery.flow import Deployed, deployment
from level4_deployment.delivery.gates import GateError
from level4_deployment.delivery.packaging import publish
from level4_deployment.demo.candidates import TOO_FEW_TREES, register_by_hand
from level4_deployment.demo.console_view import STAGES, Digests
from level4_deployment.demo.drills import CLIENTS, Kill, RollBack
from level4_deployment.experiment.design import verdict_on
from level4_deployment.experiment.experiment_store import INCONCLUSIVE, PROMOTED, REJECTED, Experiment, days_of, find
from level4_deployment.experiment.plots import verdict_plot
from level4_deployment.explain import explain, show
from level4_deployment.prediction_log import PREDICTIONS, first_predictions, open_log, url_of
from level4_deployment.replay_client import ReplayStats
from level4_deployment.serving.package import PackageError
from shared.console import console, show_table, step
from shared.errors import UserError
from shared.score import Score, by_slice, score
from shared.settings import FIRST_TODAY, LAST_TODAY, NEW_YORK, Settings

TOLD_OF = date(2013, 4, 1)  # the day that the story is told of, unless TODAY says otherwise
BACK_WITHIN = 5.0  # seconds, from a command until nobody gets another version's answer any more
VERDICTS = (PROMOTED, REJECTED, INCONCLUSIVE)


def empty_home(settings: Settings) -> Path:
    """A platform's folder with nothing in it; what the last run left is kept beside it, until the next."""
    home, before = settings.level("level4"), settings.state / "level4-before"
    if is_running(home):
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
    """Why the gates, or what opens a package at them, refuse a version; empty where they let it through."""
    try:
        run_flow.run_flow(server, deployment, number, home)
    except (GateError, NotPublishedError, PackageError) as error:
        return str(error).split(" Remedy")[0]
    except RefusedError:  # by the platform, which tries another one: it has come past the gates
        pass
    return ""


def show_gates(deployed: Deployed, bad: dict[str, str]) -> str:
    """Print what the gates saw, and why they refused each bad candidate; returns one line of evidence."""
    rows = [[gate.name, "passed", gate.seen] for gate in deployed.report.gates]
    rows += [[what, "refused" if why else "LET THROUGH", why] for what, why in bad.items()]
    title = f"Version {deployed.version} at the gates{', and two that must not pass' * bool(bad)}"
    show_table(title, ["", "", "Seen"], rows)
    return f"{len(deployed.report.gates)} gates; {sum(map(bool, bad.values()))} of {len(bad)} bad candidates refused"


def show_experiments(home: Path, *versions: int) -> list[Experiment]:
    """Print every experiment with its figures, and draw each; returns those in which these versions were tried."""
    log = open_log(url_of(home))
    rows, done = [], find(log)
    for one in done:
        days = days_of(log, one.experiment)
        arms = {arm: int(days[f"{arm}_arm"].sum()) for arm in ("champion", "challenger")}
        picture = home / f"{one.experiment}.png"
        verdict_plot(one.plan, days, verdict_on(one.plan, days)).savefig(picture)
        share = f"{arms['challenger'] / max(1, sum(arms.values())):.1%} of {sum(arms.values()):,}"
        name = f"{one.challenger} against {one.champion}"
        rows.append([name, one.state, f"{len(days)} days, {days['flights'].sum():,} flights", share, one.reason])
        console.print(f"  drawn: {picture}")
    columns = ["Version", "Verdict", "Judged on", "Live share (planned " + f"{done[0].plan.share:.0%})", "Why"]
    show_table("The experiments", columns, rows)
    tried = {one.challenger: one for one in done}
    return [tried[version] for version in versions]


def show_served(home: Path) -> str:
    """Print the log loss of what was answered, by month of departure; returns one line of evidence."""
    columns = [PREDICTIONS.c.flight_id, PREDICTIONS.c.departs_at, PREDICTIONS.c.probability]
    found = first_predictions(open_log(url_of(home)), columns).dropna(subset="late")
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


def must_hold(claims: dict[str, bool]) -> None:
    """Raise UserError, naming them, unless all that this level claims was seen in this run."""
    if broken := [claim for claim, held in claims.items() if not held]:
        raise UserError(f"not seen in this run: {'; '.join(broken)}. Remedy: see the tables above, and platform.log.")


def claims(played: ReplayStats, drill: RollBack, kill: Kill, bad: dict[str, str]) -> dict[str, bool]:
    """What must hold of the service and of the gates; bad: what each bad candidate was refused for."""
    return {
        f"no request fails ({played})": played.failed == 0,
        f"both drills are under load ({drill.requests} and {kill.requests} requests)": drill.requests * kill.requests
        > 0,
        f"no request fails in the drill ({drill.failed} did)": drill.failed == 0,
        f"within {BACK_WITHIN:g} s of the command the version before answers, and then no other "
        f"({drill.first:.1f} s, {drill.last:.1f} s)": 0 < drill.first < BACK_WITHIN and drill.last < BACK_WITHIN,
        f"a worker that is killed cuts off what is on its way to it, no more ({kill.cut})": kill.cut <= CLIENTS,
        "the gates refuse both bad candidates": all(bad.values()),
    }


def verdicts(today: date, better: Experiment, worse: Experiment, stages: Digests) -> dict[str, bool]:
    """What must hold of both experiments, and of the first one's package.

    What the story's own day comes to is known. As of another day, a month's data more may not be a gain that four
    weeks can prove; the leak must not win on any.
    """
    wanted, harm = ((PROMOTED,), (REJECTED,)) if today == TOLD_OF else (VERDICTS, (REJECTED, INCONCLUSIVE))
    reached = STAGES if better.state == PROMOTED else STAGES[:-1]
    digests = set.union(*stages.values())
    return {
        f"version {better.challenger} is {' or '.join(wanted)} (it is {better.state})": better.state in wanted,
        f"version {worse.challenger} is {' or '.join(harm)} (it is {worse.state})": worse.state in harm,
        f"{' > '.join(reached)} (seen: {' > '.join(stages)})": tuple(stages) == reached,
        f"one digest at every stage ({', '.join(sorted(digests))})": len(digests) == 1,
    }
