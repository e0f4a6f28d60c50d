"""What `make level1` shows at its end: the claim beside each month that came after, and the manual steps."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from level1_notebook.jupyter_environment import jupyter_environment
from shared import pictures
from shared.pictures import BASE_RATE, CHAMPION, NEUTRAL
from shared.score import by_month
from shared.settings import Settings


def score_months(later: pd.DataFrame, chances: Sequence[NDArray[np.float64]], base_rate: float) -> pd.DataFrame:
    """The mean score of several models in each month; base_rate: the log loss of always predicting `base_rate`."""
    constant = by_month(later, np.full(len(later), base_rate))
    months = pd.concat([by_month(later, chance) for chance in chances]).groupby(level=0).mean()
    return months.assign(base_rate=constant["log_loss"])


def draw_months(months: pd.DataFrame, claimed: float, settings: Settings) -> Path:
    """Draw the log loss of each month beside the claimed one; returns the PNG."""
    folder = jupyter_environment(settings)["MPLCONFIGDIR"]
    os.environ.setdefault("MPLCONFIGDIR", folder)  # matplotlib reads it when it is imported
    names = pd.PeriodIndex(months.index, freq="M").strftime("%b")
    higher = int((months["log_loss"] > claimed).sum())
    title = f"Claimed log loss {claimed:.3f}; in {higher} of the {len(months)} months after, it was higher"
    figure, (axes,) = pictures.draw(title, 370)
    axes.axhline(claimed, color=NEUTRAL, linestyle=":", linewidth=2.5)
    axes.plot(names, months["base_rate"], "s--", color=BASE_RATE, linewidth=2)
    axes.plot(names, months["log_loss"], "o-", color=CHAMPION, linewidth=3, markersize=8)
    axes.set(xlabel="month of departure, 2013", ylabel="log loss, nats per flight\n(lower is better)")
    axes.margins(y=0.15)
    last = len(months) - 1
    ends = {"the notebook": CHAMPION, "base rate": BASE_RATE, "claimed": NEUTRAL}
    heights = [months["log_loss"].iloc[-1], months["base_rate"].iloc[-1], claimed]
    pictures.name_ends(axes, [(name, (last, y), ends[name]) for name, y in zip(ends, heights, strict=True)])
    return pictures.save(figure, settings.level("level1") / "months.png")


def manual_steps(cells: int, plots: int, questions: int, columns: int, months: int) -> list[tuple[str, str, str]]:
    """(role, manual step, what it blocks), from an empty notebook to the model's first score on new flights."""
    scientist, engineer = "data scientist", "engineer"
    return [
        (scientist, f"runs {cells} cells, chooses columns and settings by {plots} plots", "the engineer"),
        (scientist, "sends one pickle and a note", "the engineer"),
        (engineer, f"asks {questions} questions", "the release"),
        (scientist, "answers from memory", "the release"),
        (engineer, f"copies the code of {columns} columns by hand", "every prediction"),
        (engineer, f"fetches the labels, scores {months} months", "knowing how good it is"),
        (scientist, "trains again when the engineer asks", "every flight until then"),
    ]
