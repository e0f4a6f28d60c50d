"""`python -m level3_training_pipeline` runs the level; `--help` lists its other commands."""

from level3_training_pipeline.cli import main
from shared.errors import command

if __name__ == "__main__":
    command(main)
