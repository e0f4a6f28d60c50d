"""What was claimed, and what came, month by month: a table and a picture."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from level1_notebook.jupyter_environment import jupyter_environment
from shared.score import by_month
from shared.settings import Settings

MONTH_TITLES = ["Month", "Flights", "Late", "Log loss", "Always the past's share", "AUC"]


def month_by_month(later: pd.DataFrame, chance: NDArray[np.float64], past_share: float) -> pd.DataFrame:
    """The score of each month, and the log loss of always saying `past_share`; indexed by 2013-04 and so on."""
    months = by_month(later, chance)
    late = months["late"]
    return months.assign(base_rate=-(late * np.log(past_share) + (1 - late) * np.log(1 - past_share)))


def month_rows(months: pd.DataFrame) -> list[list[str]]:
    """The months as rows of text under MONTH_TITLES."""
    formats = {"rows": "{:,.0f}", "late": "{:.1%}", "log_loss": "{:.3f}", "base_rate": "{:.3f}", "auc": "{:.3f}"}
    return [[str(name), *(form.format(row[key]) for key, form in formats.items())] for name, row in months.iterrows()]


def draw_months(months: pd.DataFrame, claimed: float, settings: Settings) -> Path:
    """Draw the log loss of each month beside the claimed one; returns the PNG."""
    os.environ.setdefault(
        "MPLCONFIGDIR", jupyter_environment(settings)["MPLCONFIGDIR"]
    )  # matplotlib reads it on import
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.8), dpi=100, layout="constrained")
    axes = figure.subplots()
    axes.bar(months.index, months["log_loss"], color="#dd8452", width=0.6, label="the notebook's model")
    axes.plot(months.index, months["base_rate"], "_k", ms=30, mew=2, label="always the past's share of late flights")
    axes.axhline(claimed, color="#4c72b0", linewidth=2, label=f"claimed: {claimed:.3f}")
    axes.set(ylabel="log loss (lower is better)", title="Claimed on a random fifth, and on the flights that came after")
    axes.set_ylim(0, 1.25 * max(months["log_loss"].max(), months["base_rate"].max()))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(ncols=3, loc="upper center", frameon=False, fontsize=9, markerscale=0.5)
    file = settings.level("level1") / "months.png"
    figure.savefig(file)
    return file
