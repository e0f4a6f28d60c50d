"""`python -m level4_deployment` runs the level; with a verb, it runs that command: see `cli`."""

from shared.environment import begin

if __name__ == "__main__":
    begin()
    from level4_deployment.cli import main
    from shared.errors import command

    command(main)
