"""`make deploy VERSION=n`: put a registered version into level 2's service, on record."""

import getpass
import sys
import tempfile
from pathlib import Path

from level2_devops import Release, release
from level3_training_pipeline.quiet import set_up_libraries
from shared.console import console, step
from shared.errors import UserError, command
from shared.settings import Settings, read_settings


def deploy(number: str, settings: Settings, who: str) -> Release:
    """Release the service with this version's model, through all gates, and make the version the champion.

    Raises RegistryError for an unknown or altered version, and what `release` raises when a gate fails; then
    nothing has changed.
    """
    from level3_training_pipeline import registry, tracking

    client = tracking.open_tracking(settings)
    version = registry.get(client, number)
    with tempfile.TemporaryDirectory() as folder:
        model = registry.fetch(client, version, Path(folder))
        made = release(model, settings, who=who, note=f"registry version {version.number}")
    registry.promote(client, version, who, made.version)
    return made


def main() -> None:
    """Read the version's number from the command line."""
    settings = read_settings()
    set_up_libraries(settings)
    if len(sys.argv) != 2 or not sys.argv[1].isdigit():
        raise UserError("which version? Give its number: make deploy VERSION=1 (make ui shows them all)")
    with step("Load the libraries"):
        import mlflow  # noqa: F401
    made = deploy(sys.argv[1], settings, getpass.getuser())
    console.print(f"Version {sys.argv[1]} is the champion: release {made.version}, by {getpass.getuser()}.")


if __name__ == "__main__":
    command(main)
