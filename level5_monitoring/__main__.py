"""`python -m level5_monitoring`: see `cli`."""

from shared.environment import begin

if __name__ == "__main__":
    begin()
    from level5_monitoring.cli import main
    from shared.errors import command

    command(main)
