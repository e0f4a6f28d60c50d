"""`make deliver VERSION=n`: a version of level 3's registry comes into level 4's, as it is.

Each level has a registry of its own. The version's run is copied with its parameters, metrics, lineage and files, and
the model as the same bytes, so nothing is trained again and the digests of both records agree. From there on it is a
version of level 4, which packages it, puts it through the gates and tries it on the platform.
"""

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import mlflow
from mlflow.entities import Run

from level3_training_pipeline.library_setup import STORE
from level3_training_pipeline.tracking import lineage, mlflow_runs, registry
from level3_training_pipeline.tracking.registry import Version
from shared.errors import UserError
from shared.files import short_commit
from shared.settings import Settings

FROM = "delivered_from"  # tag: level 3's version and run
DEPLOYMENT = ("deployed_by", "deployed_at", "release")  # tags of level 2's service: no part of what the version is


def import_version(number: int, settings: Settings) -> Version:
    """Level 4's version of level 3's version `number`; one that was brought already, and is whole, stays.

    settings: level 4's; its registry is the open one afterwards. Raises RegistryError for an unknown or damaged
    version, and UserError for one that other code has made, whose features the service would not compute.
    """
    if not (settings.state / "level3" / STORE).exists():
        raise UserError(f"VERSION={number}: level 3 has no version yet. Remedy: make level3.")
    with tempfile.TemporaryDirectory() as folder:
        try:
            version, run, files = _export(number, replace(settings, workspace=""), Path(folder))
        finally:
            client = mlflow_runs.open_tracking(settings)
        for made in registry.made_with(client, version.tags["training_key"]):
            if made.tags["model_sha256"] == version.tags["model_sha256"] and registry.fault(client, made) is None:
                return made
        origin = {FROM: f"level 3's version {number}, run {version.run_id}"}
        about = f"Level 3's version {number}, as it is."
        with mlflow_runs.tracked(run.info.run_name or "", about, {"kind": "training", **origin}) as copy:
            mlflow.log_params(run.data.params)
            mlflow.log_metrics(run.data.metrics)
            for one in files:
                mlflow.log_artifacts(str(one))
            tags = {name: value for name, value in version.tags.items() if name not in DEPLOYMENT}
            return registry.register(client, f"runs:/{copy.info.run_id}/model", copy.info.run_id, tags | origin)


def _export(number: int, settings: Settings, folder: Path) -> tuple[Version, Run, list[Path]]:
    """The version, its run, and folders below `folder` with the run's files and, below `model`, the model's."""
    client = mlflow_runs.open_tracking(settings)
    version = registry.get(client, str(number))
    if version.tags.get("code_digest") != lineage.code_digest():
        raise UserError(
            f"VERSION={number}: the code that makes a model was changed since this version was trained (of commit "
            f"{short_commit(version.tags['commit'])}), so the service could ask it with other features than it has "
            "learned from. Remedy: make level3, which trains a version by the code as it is, then deliver that one."
        )
    registry.fetch(client, version, folder)  # whole, or an error
    shutil.copytree(registry.artefacts(client, version), folder / "copied" / "model")
    run = client.get_run(version.run_id)
    kept = mlflow.artifacts.download_artifacts(run.info.artifact_uri, dst_path=str(folder))
    return version, run, [Path(kept), folder / "copied"]
