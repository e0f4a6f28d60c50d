"""`make deploy VERSION=n`: put a registered version into level 2's service, on record."""

import tempfile
from pathlib import Path

from mlflow import MlflowClient

from level2_devops.release.pipeline import Release, candidate
from level2_devops.release.store import Store
from level3_training_pipeline.pipeline.compare import better_or_worse
from level3_training_pipeline.pipeline.reproduce import NotReproducibleError, Reproduction, reproduce
from level3_training_pipeline.tracking import mlflow_runs, registry
from level3_training_pipeline.tracking.registry import Version
from shared.console import console, step
from shared.errors import UserError
from shared.settings import Settings


def deploy(number: str, settings: Settings, actor: str) -> tuple[Release, Reproduction]:
    """Release the service with this version's model, through all gates, and make the version the champion.

    To the gates of level 2 comes one more: the version, built again from its record while the tests run, must predict
    the same bits. Raises RegistryError for an unknown version, and ReleaseError with the gate that failed; then
    nothing has changed.
    """
    with tempfile.TemporaryDirectory() as folder:
        with step(f"Fetch version {number}"):
            client = mlflow_runs.open_tracking(settings)
            version = registry.get(client, number)
            model = registry.fetch(client, version, Path(folder))
        console.print(_compared_with_champion(client, version, settings))
        with candidate(settings, actor=actor, note=f"registry version {version.number}") as made:
            with step(f"Build version {version.number} again from its record, while the tests run"):
                rebuilt = reproduce(number, settings)
            if rebuilt.differing:
                raise NotReproducibleError(
                    f"version {number}, built again from its record, is another model: {rebuilt}. "
                    "Remedy: train and deploy a new version with the code as it is."
                )
            release = made.finish(model)
    registry.promote(client, version, actor, release.version)
    return release, rebuilt


def _compared_with_champion(client: MlflowClient, version: Version, settings: Settings) -> str:
    """Whether the version is better than the champion; a record that cannot be read stops no deployment."""
    champion = registry.by_alias(client, registry.CHAMPION)
    if champion is None:
        return "There is no champion yet, so there is nothing to compare this version with."
    current = Store(settings.level("level2")).current()
    served = ""
    if current and current.version != champion.tags.get("release"):
        served = f" Level 2's service has another release by now, {current.version}."
    if champion.number == version.number:
        return f"Version {version.number} is the champion already.{served}"
    try:
        return better_or_worse(client, version, champion, settings) + served
    except UserError as error:
        return f"Whether it is better than version {champion.number}, the champion, cannot be told: {error}{served}"
