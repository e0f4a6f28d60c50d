"""`python -m level1_notebook` runs the level; `python -m level1_notebook open` opens the notebook."""

from level1_notebook.cli import main
from shared.errors import command

if __name__ == "__main__":
    command(main)
