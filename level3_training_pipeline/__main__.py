"""`python -m level3_training_pipeline` runs the level; `--help` lists its other commands."""

from shared.environment import begin

if __name__ == "__main__":
    begin()
    from level3_training_pipeline.cli import main
    from shared.errors import command

    command(main)
