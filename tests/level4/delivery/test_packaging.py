"""From the trained pipeline to what is served: the same probabilities and digest, no silent error, no foreign code."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.pipeline import Pipeline

from level3_training_pipeline.tracking import registry
from level4_deployment.control.registry_client import MANIFEST
from level4_deployment.delivery.gates import parity_gate
from level4_deployment.delivery.packaging import convert, publish
from level4_deployment.serving.model import load_served
from level4_deployment.serving.package import GRAPH, PackageError, read_verified
from shared.artefacts import MODEL_CARD
from shared.errors import UserError
from tests.level4.plane import CARD, package
from tests.level4.registries import Registry


def test_ten_thousand_flights_get_the_trained_models_probabilities(
    trained: Pipeline, tmp_path: Path, flights: pd.DataFrame
) -> None:
    served = load_served(tmp_path, package(tmp_path, 1, trained))
    some = flights.sample(10_000, random_state=1).reset_index(drop=True)
    some.loc[:99, "carrier"] = "ZZ"
    some.loc[100:199, "dest"] = "XXX"
    some.loc[200:299, ["temp", "wind_speed", "pressure"]] = np.nan
    assert some["wind_gust"].isna().sum() > 1_000
    assert parity_gate(trained, served, some).passed


def test_the_same_model_gives_the_same_digests(trained: Pipeline, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        folder.mkdir()
    assert convert(trained, CARD, one) == convert(trained, CARD, two)


def test_what_was_altered_is_refused_by_name_and_digest(trained: Pipeline, tmp_path: Path) -> None:
    files = convert(trained, CARD, tmp_path)
    read_verified(tmp_path, files)
    for name in (GRAPH, MODEL_CARD):
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        with pytest.raises(PackageError, match=f"{name} has SHA-256 .*{files[name][:8]}…"):
            read_verified(tmp_path, files)
        (tmp_path / name).write_bytes(whole)
    (tmp_path / GRAPH).unlink()
    with pytest.raises(PackageError, match="cannot be read"):
        read_verified(tmp_path, files)


def test_the_card_names_codes_base_rate_rows_and_date(trained: Pipeline, tmp_path: Path) -> None:
    convert(trained, CARD, tmp_path)
    card = json.loads((tmp_path / "model.json").read_text())
    assert set(card["categories"]["origin"]) == {"EWR", "JFK", "LGA"}
    assert (card["base_rate"], card["rows"], card["trained_as_of"]) == (0.25, 5_000, "2013-04-01")


class Trap:
    """An object that touches its file when it is loaded."""

    def __init__(self, file: str) -> None:
        self.file = file

    def __setstate__(self, state: dict[str, Any]) -> None:
        Path(state["file"]).touch()


def test_a_trap_whose_digest_was_forged_as_well_is_refused_at_packaging_and_never_springs(
    registered: Registry, tmp_path: Path
) -> None:
    version = registry.get(registered.client, "1")
    kept, whole, trap = (
        registry.artefacts(registered.client, version) / "model.skops",
        tmp_path / "whole",
        tmp_path / "ran",
    )
    shutil.copy(kept, whole)
    skops.io.dump(Trap(str(trap)), kept)
    skops.io.load(kept, trusted=[f"{__name__}.Trap"])
    assert trap.exists(), "it works: a loader that trusts it runs it"
    trap.unlink()
    digest = hashlib.sha256(kept.read_bytes()).hexdigest()
    registered.client.set_model_version_tag("flight-delays", "1", "model_sha256", digest)
    registered.client.delete_model_version_tag("flight-delays", "1", MANIFEST)
    try:
        with pytest.raises(UserError, match=r"Untrusted types.*Trap"):
            publish(registered.client, registry.get(registered.client, "1"))
        assert MANIFEST not in registry.get(registered.client, "1").tags
    finally:
        shutil.copy(whole, kept)
        for tag in ("model_sha256", MANIFEST):
            registered.client.set_model_version_tag("flight-delays", "1", tag, version.tags[tag])
    assert not trap.exists()
