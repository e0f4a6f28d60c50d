"""`make deploy VERSION=n`: put a registered version into level 2's service, on record."""

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from level3_training_pipeline.library_setup import set_up_libraries
from level3_training_pipeline.tracking.reproduce import NotReproducibleError, Reproduction, reproduce
from shared.console import console, step
from shared.errors import UserError, command
from shared.settings import Settings, read_settings, user

if TYPE_CHECKING:
    from level2_devops.release.pipeline import Release


@dataclass(frozen=True)
class Deployment:
    """A release with a registered version's model, and the proof that the version can be built again."""

    release: "Release"
    rebuilt: Reproduction


def deploy(number: str, settings: Settings, who: str) -> Deployment:
    """Release the service with this version's model, through all gates, and make the version the champion.

    Level 2's gates, and one more while its tests run: built again from its record by the code that will serve it,
    the version must predict the same bits. Raises RegistryError where there is no such version, or ReleaseError with
    the gate that failed; then nothing has changed.
    """
    from level2_devops.release.pipeline import candidate
    from level3_training_pipeline.tracking import mlflow_runs, registry

    with tempfile.TemporaryDirectory() as folder:
        with step(f"Fetch version {number}"):
            client = mlflow_runs.open_tracking(settings)
            version = registry.get(client, number)
            model = registry.fetch(client, version, Path(folder))
        with candidate(settings, who=who, note=f"registry version {version.number}") as made:
            with step(f"Build version {version.number} again from its record, while the tests run"):
                rebuilt = reproduce(number, settings)
            if rebuilt.differing:
                raise NotReproducibleError(f"{rebuilt}. Remedy: train anew with the code as it is, and deploy that.")
            release = made.finish(model)
    registry.promote(client, version, who, release.version)
    return Deployment(release, rebuilt)


def main() -> None:
    """Read the version's number from the command line."""
    settings = read_settings()
    set_up_libraries(settings)
    if len(sys.argv) != 2 or not sys.argv[1].isdigit():
        raise UserError("which version? Give its number: make deploy VERSION=1 (make ui shows them all)")
    with step("Load the libraries"):
        from level2_devops.release.pipeline import candidate  # noqa: F401
        from level3_training_pipeline.tracking import registry  # noqa: F401
    made = deploy(sys.argv[1], settings, user())
    console.print(f"Version {sys.argv[1]} is the champion: release {made.release.version}, by {user()}.")


if __name__ == "__main__":
    command(main)
