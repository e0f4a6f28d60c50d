"""`python -m level4_deployment` runs the level; with a verb, it runs that command: see `cli`."""

from level4_deployment.cli import main
from shared.errors import command

if __name__ == "__main__":
    command(main)
