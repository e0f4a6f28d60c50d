"""`python -m level5_monitoring` runs the level."""

from level5_monitoring.config import configure
from shared.console import step
from shared.errors import command


def main() -> None:
    """Set the libraries up before the story imports them."""
    configure()
    with step("Load the libraries"):
        from level5_monitoring import run
    run.main()


if __name__ == "__main__":
    command(main)
