"""`python -m level2_devops`: see `cli`."""

from level2_devops.cli import main
from shared.errors import command

if __name__ == "__main__":
    command(main)
