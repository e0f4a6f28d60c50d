"""`python -m level4_deployment` runs the level."""

from level4_deployment.config import configure
from shared.console import step
from shared.errors import command


def main() -> None:
    """Set the libraries up before the story imports them."""
    configure()
    with step("Load the libraries"):
        from level4_deployment import run
    run.main()


if __name__ == "__main__":
    command(main)
