"""`python -m level2_devops.train`: train on what is known today, and leave a model file with its card."""

from pathlib import Path

from shared.console import console, step
from shared.errors import command
from shared.flights import load_flights
from shared.settings import Settings, read_settings
from shared.split import history


def train(settings: Settings) -> Path:
    """Fit the model on the history of today and save it with its card; returns their folder."""
    from level2_devops.model import Card, fit, save

    known = history(load_flights(settings), settings.now)
    folder = settings.level("level2") / "model"
    card = Card(base_rate=float(known["late"].mean()), rows=len(known), trained_as_of=str(settings.today))
    save(fit(known), card, folder)
    return folder


def main() -> None:
    """Train, with the settings of the environment."""
    settings = read_settings()
    with step("Load the libraries"):
        import level2_devops.model  # noqa: F401
    with step(f"Train on the flights known on {settings.today}"):
        folder = train(settings)
    console.print(f"The model and its card are in {folder}")


if __name__ == "__main__":
    command(main)
