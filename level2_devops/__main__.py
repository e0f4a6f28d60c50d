"""`python -m level2_devops`: run the level."""

from shared.console import step
from shared.errors import command


def main() -> None:
    """Load the libraries, which takes a moment, then tell the story."""
    with step("Load the libraries"):
        from level2_devops import run
    run.main()


if __name__ == "__main__":
    command(main)
