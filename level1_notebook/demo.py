"""What `make level1` shows at its end: the claim beside each month that came after, and the manual steps."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from level1_notebook.jupyter_environment import jupyter_environment
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
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.8), dpi=100, layout="constrained")
    axes = figure.subplots()
    axes.bar(months.index, months["log_loss"], color="#dd8452", width=0.6, label="the notebook's models")
    axes.plot(months.index, months["base_rate"], "_k", ms=30, mew=2, label="the base rate of January to March")
    axes.axhline(claimed, color="#4c72b0", linewidth=2, label=f"claimed: {claimed:.3f}")
    axes.set(ylabel="log loss (lower is better)", title="Claimed on a random fifth, and on the flights that came after")
    axes.set_ylim(0, 1.25 * max(months["log_loss"].max(), months["base_rate"].max()))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(ncols=3, loc="upper center", frameon=False, fontsize=9, markerscale=0.5)
    file = settings.level("level1") / "months.png"
    figure.savefig(file)
    return file


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
