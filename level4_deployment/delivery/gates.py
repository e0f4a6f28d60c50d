"""The gates: what a version must pass before it scores a user's flight."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from timeit import timeit
from typing import Any

import numpy as np
import pandas as pd
from mlflow import MlflowClient

from level2_devops.features import features
from level2_devops.model import predict_features
from level3_training_pipeline.pipeline.compare import FEWEST_DAYS, days_of_champion, evaluated_days, in_common
from level3_training_pipeline.tracking import registry
from level4_deployment.control.registry_client import GATES, pull
from level4_deployment.delivery import served_features
from level4_deployment.delivery.splits import rows_at_splits
from level4_deployment.experiment.design import Plan, make_plan
from level4_deployment.serving.model import ServedModel, load_served
from level4_deployment.serving.package import PackageError, inputs_of
from shared.data.flights import load_flights
from shared.errors import UserError
from shared.settings import Settings

WORSE_BY = 0.02  # how far a candidate's log loss may exceed the champion's, relatively: chance over two weeks
PARITY_ROWS = 10_000
PARITY = 1e-5  # of a probability: float32 sums of a thousand trees differ by 1e-6, a wrong branch by far more
SLOWER_BY, LATENCY_ROUNDS = 3.0, 300
OPENED = "digest, signature"  # the first gate


class GateError(UserError):
    """A version that has failed a gate."""

    refusal = True

    @property
    def reason(self) -> str:
        """The gates that failed."""
        return (super().reason.partition(" is refused: ")[2] or super().reason).rstrip(".")


@dataclass(frozen=True)
class Gate:
    """What one gate found."""

    name: str
    passed: bool
    seen: str


@dataclass(frozen=True)
class Report:
    """All gates of a version, and the plan of its experiment; None where there is no champion to try it against.

    digest: of the package that the gates opened. champion: the version that it was compared with.
    """

    digest: str
    gates: list[Gate]
    plan: Plan | None
    champion: int | None = None

    def __str__(self) -> str:
        """The failed gates, for people."""
        return "; ".join(f"{gate.name}: {gate.seen}" for gate in self.gates if not gate.passed)


def run_gates(
    client: MlflowClient,
    version: registry.Version,
    settings: Settings,
    home: Path,
    wished: Mapping[str, Any] | None = None,
) -> Report:
    """Put a packaged version through all gates, and record the result with it; raises GateError when a gate fails.

    wished: fields of Plan to be fixed, for example {"share": 0.3}.
    A package that cannot be opened fails the first gate, and the others are not tried.
    """
    champion = registry.by_alias(client, registry.CHAMPION)
    try:
        package = pull(version, home)
        served = load_served(home, package)
    except PackageError as error:
        raise _refusal(client, version, Report("", [Gate(OPENED, passed=False, seen=str(error))], None)) from error
    flights = load_flights(settings)
    served_features.check(client, version, champion, flights)
    rival = _load_champion(champion, version.number, home) if champion else served
    differences, quality = compare(client, version, champion, settings)
    opened = f"{len(package.files)} files as on record, inputs and output as served"
    gates = [
        Gate(OPENED, passed=True, seen=opened),
        quality,
        parity_gate(registry.load_version(client, version), served, flights.sample(PARITY_ROWS, random_state=0)),
        latency_gate(served, rival, flights),
    ]
    plan = make_plan(differences, **wished or {}) if champion else None
    report = Report(package.digest, gates, plan, champion.number if champion else None)
    if str(report):
        raise _refusal(client, version, report)
    record(client, version.number, gates)
    return report


def _load_champion(champion: registry.Version, number: int, home: Path) -> ServedModel:
    """The champion as it is served; raises GateError with the commands that help where its package is damaged."""
    try:
        return load_served(home, pull(champion, home))
    except PackageError as error:
        raise GateError(
            f"version {number} cannot be compared with version {champion.number}, the champion: "
            f"{str(error).partition(' Remedy:')[0]} Remedy: make platform-rollback makes the champion before it the "
            f"champion again, and make promote VERSION={number} this version, without a comparison."
        ) from error


def record(client: MlflowClient, number: int, gates: list[Gate]) -> None:
    """Record what the gates found with the version."""
    found = json.dumps({gate.name: asdict(gate) for gate in gates})
    client.set_model_version_tag(registry.MODEL, str(number), GATES, found)


def _refusal(client: MlflowClient, version: registry.Version, report: Report) -> GateError:
    record(client, version.number, report.gates)
    remedy = "Remedy: the champion keeps serving; train another version."
    return GateError(f"version {version.number} is refused: {str(report).split(' Remedy')[0].rstrip('.')}. {remedy}")


def compare(
    client: MlflowClient, version: registry.Version, champion: registry.Version | None, settings: Settings
) -> tuple[pd.Series, Gate]:
    """Candidate and champion on the same flights, which neither was trained on: day differences, and the gate."""
    if champion is None:
        return pd.Series(dtype=float), Gate("quality", passed=True, seen="there is no champion to compare with")
    theirs, left_out = days_of_champion(client, version, champion, settings)
    differences, gate = judge_quality(evaluated_days(version), theirs, champion.number)
    return differences, replace(gate, seen=f"{gate.seen}; {left_out}") if left_out else gate


def judge_quality(ours: pd.DataFrame, theirs: pd.DataFrame, champion: int) -> tuple[pd.Series, Gate]:
    """The champion's loss minus the candidate's, of each day that both were evaluated on; and the gate.

    ours, theirs: rows and log_loss (nats per flight) by day; days with other numbers of rows do not count.
    """
    both = in_common(ours, theirs)
    if len(both) < FEWEST_DAYS:
        seen = f"only {len(both)} days on which both can be judged: the shadow days decide"
        return pd.Series(dtype=float), Gate("quality", passed=True, seen=seen)
    loss, champions = (
        float(np.average(both[name], weights=both["rows"])) for name in ("log_loss", "log_loss_champion")
    )
    seen = f"log loss {loss:.4f}, version {champion} {champions:.4f}, on the same {both['rows'].sum():,} flights"
    gate = Gate("quality", loss <= champions * (1 + WORSE_BY), seen)
    return both["log_loss_champion"] - both["log_loss"], gate


def parity_gate(model: Any, served: ServedModel, flights: pd.DataFrame) -> Gate:
    """The served model must give the probabilities of the trained one, on flights and at every split of its trees."""
    real = features(flights)
    made = rows_at_splits(model, real)
    apart = [
        float(np.abs(predict_features(model, table) - served.score(*inputs_of(table))).max(initial=0.0))
        for table in (real, made)
    ]
    seen = f"{apart[0]:.0e} apart on {len(real):,} flights, {apart[1]:.0e} on {len(made):,} rows at splits"
    return Gate("parity", max(apart) <= PARITY, seen)


def latency_gate(served: ServedModel, rival: ServedModel, flights: pd.DataFrame) -> Gate:
    """One flight at a time, alternating with the champion: the ratio of the median times."""
    row = inputs_of(features(flights.head(1)))
    calls = [partial(model.score, *row) for model in (served, rival)]
    ours, theirs = np.median([[timeit(call, number=1) for call in calls] for _ in range(LATENCY_ROUNDS)], axis=0)
    seen = f"{ours / theirs:.1f} times the champion's {theirs * 1e6:.0f} µs a flight, median of {LATENCY_ROUNDS}"
    return Gate("latency", bool(ours <= theirs * SLOWER_BY), seen)
