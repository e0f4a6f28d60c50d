"""A version of level 3's registry comes into level 4's as it is, once; what cannot be tried there is refused."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from level3_training_pipeline.tracking import lineage, mlflow_runs, registry
from level3_training_pipeline.tracking.registry import RegistryError, Version
from level4_deployment.delivery.from_level3 import import_version
from level4_deployment.demo.candidates import TOO_FEW_TREES, register_by_hand
from shared.errors import UserError
from shared.settings import Settings
from tests.level4.registries import Registry


@pytest.fixture
def level3(registered: Registry) -> Iterator[Version]:
    """Version 1 of level 3's own registry, deployed into level 2's service."""
    client = mlflow_runs.open_tracking(replace(registered.settings, workspace=""))
    try:
        made = registry.get(client, "1")  # of another test, perhaps
    except RegistryError:
        made = register_by_hand(client, registered.settings, lambda flights: flights, TOO_FEW_TREES, "by a student")
    registry.promote(client, made, "Ada", "1.0.0")
    yield registry.get(client, "1")
    mlflow_runs.open_tracking(registered.settings)


def test_a_version_is_brought_once_with_its_bytes_its_record_and_its_evaluation(
    registered: Registry, level3: Version
) -> None:
    made = import_version(1, registered.settings)
    assert import_version(1, registered.settings) == made
    whole = registry.get(registered.client, str(made.number))
    same = ("model_sha256", "model_card_sha256", "today", "commit", "training_key")
    assert [whole.tags[name] for name in same] == [level3.tags[name] for name in same]
    assert whole.tags["delivered_from"] == f"level 3's version 1, run {level3.run_id}"
    assert "deployed_by" in level3.tags
    assert "deployed_by" not in whole.tags, "it serves nowhere yet"
    assert registry.fault(registered.client, whole) is None
    kept = registered.client.get_run(whole.run_id)
    assert kept.data.metrics["test_log_loss"] > 0
    assert {one.path for one in registered.client.list_artifacts(whole.run_id)} >= {"by_day.csv", "model"}


@pytest.mark.usefixtures("level3")
def test_an_unknown_version_is_refused_with_those_that_exist(registered: Registry) -> None:
    with pytest.raises(RegistryError, match=r"level 3 has no such version; known there: 1\. Remedy: one of these, or"):
        import_version(9, registered.settings)
    with pytest.raises(RegistryError, match=r"level 4 has no such version; .*make deliver VERSION=n"):
        registry.get(registered.client, "99")


@pytest.mark.usefixtures("level3")
def test_a_version_of_other_code_is_refused_with_the_training_that_helps(
    registered: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lineage, "code_digest", lambda: "changed")
    with pytest.raises(UserError, match=r"VERSION=1: the code that makes a model was changed .*Remedy: make level3"):
        import_version(1, registered.settings)


def test_without_level_3_it_is_level_3_that_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "level4").mkdir()
    with pytest.raises(UserError, match=r"level 3 has no version yet\. Remedy: make level3"):
        import_version(1, Settings(date(2013, 3, 1), None, tmp_path, workspace="level4"))
