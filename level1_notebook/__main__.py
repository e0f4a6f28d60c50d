"""`python -m level1_notebook` runs the level; `python -m level1_notebook open` opens the notebook."""

from shared.environment import begin

if __name__ == "__main__":
    begin()
    from level1_notebook.cli import main
    from shared.errors import command

    command(main)
