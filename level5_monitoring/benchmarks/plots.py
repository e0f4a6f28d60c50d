"""The picture of the judge: how late each method is, and how often it cries for nothing."""

import pandas as pd
from matplotlib.figure import Figure

from level5_monitoring.benchmarks.detection_metrics import DAYS, METHODS, OURS


def judge_plot(points: pd.DataFrame, days: int) -> Figure:
    """Mean delay against clean days in alarm, a line for each method as its limits are scaled; a dot at its own limits.

    Wide enough to be read on a phone.
    """
    figure = Figure(figsize=(5.4, 6.2), dpi=130, layout="constrained")
    axes = figure.subplots()
    for i, method in enumerate(METHODS):
        line = points[points["method"] == method].sort_values("scale")
        own = line[line["scale"] == 1]
        width = 3 if method == OURS else 1.5
        axes.plot(line["days in alarm"], line["delay"], color=f"C{i}", linewidth=width, label=method)
        axes.plot(own["days in alarm"], own["delay"], "o", color=f"C{i}", markersize=9, zorder=6)
    axes.set(
        xlim=(-0.5, 30.5),
        ylim=(0, DAYS + 1.5),
        xlabel=f"days in alarm, per 30 of {days} days without a fault",
        ylabel=f"mean days until a fault is found (missed: {DAYS + 1})",
    )
    axes.set_title("Best is down on the left. Lines: limits scaled; dots: as they are.", fontsize=10, loc="left")
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return figure
