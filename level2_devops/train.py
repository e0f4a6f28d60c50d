"""`python -m level2_devops.train`: train on what is known today, and leave a model file with its card."""

from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd

from shared.console import console, step
from shared.data.flights import load_flights
from shared.data.split import history
from shared.errors import command
from shared.settings import read_settings


def train(known: pd.DataFrame, today: date, folder: Path, **parameters: Any) -> Path:
    """Fit the model on labelled flights and save it with its card into `folder`; returns that."""
    from level2_devops.model import ModelCard, fit, save

    card = ModelCard(base_rate=float(known["late"].mean()), rows=len(known), trained_as_of=str(today))
    save(fit(known, **parameters), card, folder)
    return folder


def main() -> None:
    """Train with the settings of the environment."""
    settings = read_settings()
    with step("Load the libraries"):
        import level2_devops.model  # noqa: F401
    with step("Load the flights of 2013"):
        known = history(load_flights(settings), settings.now)
    with step(f"Train on the {len(known):,} flights known on {settings.today}"):
        folder = train(known, settings.today, settings.level("level2") / "model")
    console.print(f"The model and its card are in {folder}")


if __name__ == "__main__":
    command(main)
