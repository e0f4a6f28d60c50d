"""`python -m level5_monitoring`: see `cli`."""

from level5_monitoring.cli import main
from shared.errors import command

if __name__ == "__main__":
    command(main)
