"""A model file that is more than a model: though its digest is the one on record, what it carries never runs."""

import hashlib
import shutil
from pathlib import Path
from typing import Any

import pytest
import skops.io

from level3_training_pipeline.tracking import registry
from level4_deployment.control.registry_client import MANIFEST
from level4_deployment.delivery.packaging import publish
from shared.errors import UserError
from tests.level4.conftest import Registry


class Trap:
    """Whoever loads one touches its file."""

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
    assert trap.exists(), "it is armed: whoever trusts it is caught"
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
