"""Level 3's pipeline carried on: train → package → gates → submit; from there on the platform decides by itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from prefect import flow, task

from level3_training_pipeline.pipeline import flow as level3
from level3_training_pipeline.tracking import mlflow_runs, registry
from level4_deployment.control.client import PlatformClient
from level4_deployment.delivery.gates import Report, run_gates
from level4_deployment.delivery.packaging import publish
from shared.console import console, in_one_line, step
from shared.settings import Settings, read_settings


@dataclass(frozen=True)
class Deployed:
    """A version that was submitted. experiment: the name of the one it is tried in; None for the first champion."""

    version: int
    digest: str
    report: Report
    experiment: str | None


@task(name="package", **level3.RETRIED)
def package_step(number: int) -> str:
    """Convert for serving; returns the digest that every later stage must see."""
    with step(f"Package version {number}"):
        client = MlflowClient()
        return publish(client, registry.get(client, str(number))).digest


@task(name="gates", on_failure=[level3.report_failure])
def gates_step(number: int, settings: Settings, home: Path, plan: dict[str, Any] | None) -> Report:
    """Quality, parity, latency, signature."""
    with step(f"Put version {number} through the gates"):
        client = MlflowClient()
        return run_gates(client, registry.get(client, str(number)), settings, home, plan)


@task(name="submit", on_failure=[level3.report_failure])
def submit_step(number: int, report: Report, home: Path) -> str | None:
    """Hand the version to the platform, which tries it against the champion; returns the experiment's name."""
    with step(f"Submit version {number} to the platform"), PlatformClient.at(home, "pipeline") as platform:
        return platform.submit(number, report.plan, report.champion)


def show_report(number: int, report: Report) -> None:
    """Print what each gate has measured of a version, and by which rules its experiment is decided."""
    console.print(f"  version {number} passes all gates")
    for gate in report.gates:
        console.print(f"    {gate.name}: {gate.seen}")
    console.print(f"  the plan: {report.plan.rules if report.plan else 'none, there is no champion to try it against'}")


@flow(
    name="deployment",
    flow_run_name="deployment of version {number}",
    description="Package a registered version, put it through the gates, and submit it.",
)
def deployment(number: int, home: Path, plan: dict[str, Any] | None = None, show: bool = False) -> Deployed:  # noqa: FBT001, FBT002 - flows are given their parameters by place
    """The stages after training; raises GateError, or RefusedError with the platform's reason.

    plan: fields of Plan to be fixed, for example {"look_every": 1, "share": 0.3}.
    show: print what the gates found, and the plan, before the version is submitted.
    """
    settings = read_settings()
    mlflow_runs.open_tracking(settings)
    digest = package_step(number)
    report = gates_step(number, settings, home, plan)
    if show:
        show_report(number, report)
    return Deployed(number, digest, report, submit_step(number, report, home))


@flow(name="delivery", flow_run_name="delivery as of {today}", description="Train, and deploy what was trained.")
def delivery(  # noqa: PLR0913, PLR0917 - flows are given their parameters by place
    today: str,
    home: Path,
    trials: int = level3.TRIALS,
    cause: str = "by hand",
    plan: dict[str, Any] | None = None,
    without: Sequence[str] = (),
    averaged: bool = False,  # noqa: FBT001, FBT002
) -> Deployed:
    """From the data as of `today` (YYYY-MM-DD) to an experiment on live traffic.

    plan: as of `deployment`. without, averaged: as of level 3's `training`.
    """
    with in_one_line(f"Train and submit as of {today}") as line:
        deployed = deployment(level3.training(today, trials, cause, without, averaged), home, plan)
        line.result = f"version {deployed.version}, "
    return deployed
