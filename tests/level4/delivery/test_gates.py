"""The gates, on real versions: what each lets pass, and what it refuses with which reason."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest

from level3_training_pipeline.tracking import registry
from level4_deployment.control.registry_client import not_passed, package_of, pull
from level4_deployment.delivery import gates, served_features
from level4_deployment.delivery.packaging import publish
from level4_deployment.serving.model import ServedModel, load_served
from shared.errors import UserError
from tests.level4.registries import MODEL, Registry, run_folder


@pytest.fixture
def served(registered: Registry, home: Path) -> ServedModel:
    return load_served(home, pull(registry.get(registered.client, "3"), home))


@pytest.fixture
def tags_return(registered: Registry) -> Iterator[None]:
    """After the test, the versions have the tags on record that they had before."""
    client = registered.client
    before = client.search_model_versions(f"name = '{MODEL}'")
    yield
    for version in before:
        for name, value in version.tags.items():
            client.set_model_version_tag(MODEL, version.version, name, value)


def test_the_digest_is_the_same_wherever_a_version_goes(registered: Registry, home: Path) -> None:
    version = registry.get(registered.client, "2")
    assert publish(registered.client, version) == package_of(version) == pull(version, home)


def test_a_copy_that_was_damaged_here_is_pulled_anew(registered: Registry, home: Path) -> None:
    version = registry.get(registered.client, "2")
    package = pull(version, home)
    file = home / "models" / package.digest / "model.onnx"
    whole = file.read_bytes()
    file.write_bytes(whole[:100])
    pull(version, home)
    assert file.read_bytes() == whole


def test_a_copy_that_another_process_has_pulled_meanwhile_is_as_good(
    registered: Registry, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version, download = registry.get(registered.client, "2"), mlflow.artifacts.download_artifacts

    def and_the_other_is_faster(*given: Any, **named: Any) -> str:
        monkeypatch.setattr(mlflow.artifacts, "download_artifacts", download)
        pull(version, home)
        return str(download(*given, **named))

    monkeypatch.setattr(mlflow.artifacts, "download_artifacts", and_the_other_is_faster)
    assert pull(version, home) == package_of(version)
    assert load_served(home, package_of(version)).version == 2


def test_a_better_candidate_passes_every_gate_and_gets_a_plan_with_what_was_wished(
    registry_: Registry, home: Path
) -> None:
    registry_.client.set_registered_model_alias(MODEL, "champion", "1")
    version = registry.get(registry_.client, "3")
    wish = {"look_every": 1, "max_days": 14, "share": 0.3}
    report = gates.run_gates(registry_.client, version, registry_.settings, home, wish)
    assert [gate.name for gate in report.gates if gate.passed] == ["digest, signature", "quality", "parity", "latency"]
    assert (report.digest, report.champion) == (package_of(version).digest, 1)
    plan = report.plan
    assert plan
    assert (plan.look_every, plan.max_days, plan.share) == (1, 14, 0.3)
    assert plan.power_to, "the rest is planned as ever"
    with pytest.raises(UserError, match="share"):
        gates.run_gates(registry_.client, version, registry_.settings, home, {"share": 3})


@pytest.mark.usefixtures("tags_return")
def test_a_worse_candidate_is_refused_with_both_losses(registry_: Registry, home: Path) -> None:
    registry_.client.set_registered_model_alias(MODEL, "champion", "3")
    version = registry.get(registry_.client, "1")
    with pytest.raises(gates.GateError, match=r"version 1 is refused: quality: log loss 0\.\d+, version 3 0\.\d+"):
        gates.run_gates(registry_.client, version, registry_.settings, home)
    assert not_passed(registry.get(registry_.client, "1")) == "was refused by the gate quality"


@pytest.mark.usefixtures("tags_return")
@pytest.mark.parametrize("damage", ["changed", "never packaged"])
def test_a_package_that_cannot_be_opened_is_refused_on_record(registry_: Registry, home: Path, damage: str) -> None:
    client = registry_.client
    assert not not_passed(registry.get(client, "2"))
    if damage == "changed":
        client.set_model_version_tag(MODEL, "2", "package", json.dumps({"model.onnx": "0" * 64}))
    else:
        client.delete_model_version_tag(MODEL, "2", "package")
    with pytest.raises(gates.GateError, match="version 2 is refused: digest, signature: version 2"):
        gates.run_gates(client, registry.get(client, "2"), registry_.settings, home)
    assert not_passed(registry.get(client, "2"))


@pytest.mark.usefixtures("tags_return")
def test_a_champion_whose_package_is_damaged_is_reported_with_the_commands_that_help(
    registry_: Registry, home: Path
) -> None:
    client = registry_.client
    client.set_registered_model_alias(MODEL, "champion", "1")
    client.set_model_version_tag(MODEL, "1", "package", json.dumps({"model.onnx": "0" * 64}))
    with pytest.raises(gates.GateError, match=r"champion: .*not the one on record.*Remedy: make platform-rollback"):
        gates.run_gates(client, registry.get(client, "3"), registry_.settings, home)


def test_a_champion_whose_model_is_damaged_counts_by_its_own_evaluation_and_that_is_said(
    registry_: Registry, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, own = registry_.client, registry.get(registry_.client, "1")
    before = replace(own, tags=own.tags | {"today": "2013-02-22"})  # it would be asked on a week of flights
    monkeypatch.setattr(registry, "by_alias", lambda *_: before)
    file = registry.artefacts(client, own) / "model.skops"
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    try:
        report = gates.run_gates(client, registry.get(client, "3"), registry_.settings, home)
    finally:
        file.write_bytes(whole)
    (quality,) = (gate for gate in report.gates if gate.name == "quality")
    assert "on the same" in quality.seen
    assert "only days of version 1's own evaluation count, for its model is unusable: version 1" in quality.seen


def test_features_that_the_service_or_the_champion_has_otherwise_are_refused_by_name(
    registry_: Registry, flights: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, one, three = registry_.client, *(registry.get(registry_.client, number) for number in "13")
    served_features.check(client, one, None, flights)
    one = registry.get(client, "1")
    served_features.check(client, three, one, flights)
    usual = served_features.features
    monkeypatch.setattr(served_features, "features", lambda table: usual(table).assign(weekday=lambda t: t.weekday * 2))
    with pytest.raises(served_features.FeatureError, match=r"weekday of 2013-\S+ is \d there, and \d+ in training"):
        served_features.check(client, three, one, flights)
    monkeypatch.setattr(served_features, "_check_service", lambda _: None)  # changed there as well
    with pytest.raises(served_features.FeatureError, match=r"other features \(weekday\).*make promote VERSION=3"):
        served_features.check(client, three, one, flights)


def test_a_model_that_is_served_otherwise_than_trained_is_refused(
    registered: Registry, served: ServedModel, flights: pd.DataFrame
) -> None:
    some = flights.sample(2_000, random_state=0)
    right = registry.load_version(registered.client, registry.get(registered.client, "3"))
    wrong = registry.load_version(registered.client, registry.get(registered.client, "2"))
    assert gates.parity_gate(right, served, some).passed
    refused = gates.parity_gate(wrong, served, some)
    assert not refused.passed
    assert "2,000 flights" in refused.seen


def test_a_candidate_that_takes_far_longer_is_refused(served: ServedModel, flights: pd.DataFrame) -> None:
    class Slow:
        """Asks the same model ten times over."""

        def score(self, *inputs: Any) -> object:
            return [served.score(*inputs) for _ in range(10)]

    assert gates.latency_gate(served, served, flights).passed
    assert not gates.latency_gate(Slow(), served, flights).passed  # type: ignore[arg-type]


def test_a_champion_is_judged_on_flights_it_knows_by_its_own_evaluation(registered: Registry) -> None:
    one, three = (registry.get(registered.client, number) for number in "13")
    differences, _ = gates.compare(registered.client, three, one, registered.settings)
    files = (run_folder(registered, number) / "by_day.csv" for number in (1, 3))
    first, third = (pd.read_csv(file, index_col="day")["log_loss"] for file in files)
    pd.testing.assert_series_equal(differences, first - third, check_names=False)
    assert len(differences) == 14
