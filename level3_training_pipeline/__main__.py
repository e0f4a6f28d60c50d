"""`python -m level3_training_pipeline` runs the level."""

from level3_training_pipeline.library_setup import set_up_libraries
from shared.console import step
from shared.errors import command
from shared.settings import read_settings


def main() -> None:
    """Set the libraries up before the story imports them."""
    set_up_libraries(read_settings())
    with step("Load the libraries"):
        from level3_training_pipeline import run
    run.main()


if __name__ == "__main__":
    command(main)
