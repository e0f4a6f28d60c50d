"""`python -m level2_devops`: see `cli`."""

from shared.environment import begin

if __name__ == "__main__":
    begin()
    from level2_devops.cli import main
    from shared.errors import command

    command(main)
