"""The switch of releases as its clients saw it, drawn."""

import os
from pathlib import Path

from level2_devops.load_generator import Traffic
from shared.settings import Settings


def draw_swap(seen: Traffic, settings: Settings) -> Path:
    """Draw the milliseconds of every request, coloured by the version that answered it; returns the PNG."""
    home = settings.level("level2")
    os.environ.setdefault(
        "MPLCONFIGDIR", str(home / "matplotlib")
    )  # read on import; else it writes into the user's home
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.4), dpi=100, layout="constrained")
    axes = figure.subplots()
    begun = seen.rows[0][0]
    for version in sorted({row[3] for row in seen.rows if row[2] == 200}):
        answered = [row for row in seen.rows if row[2] == 200 and row[3] == version]
        times = [row[0] - begun for row in answered]
        axes.scatter(times, [row[1] for row in answered], s=7, label=f"{version}: {len(answered):,} answers")
    failed = seen.failed
    axes.scatter(
        [row[0] - begun for row in failed],
        [row[1] for row in failed],
        marker="x",
        color="red",
        s=40,
        label=f"failed: {len(failed)}",
    )
    axes.set(
        yscale="log",
        xlabel="seconds",
        ylabel="milliseconds",
        title="A release and its rollback, as the clients saw them",
    )
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(ncols=3, loc="upper center", frameon=False, markerscale=2)
    axes.set_ylim(top=3 * max(row[1] for row in seen.rows))
    axes.set_yticks([10, 30, 100, 300, 1000], ["10", "30", "100", "300", "1,000"])
    axes.minorticks_off()
    file = home / "swap.png"
    figure.savefig(file)
    return file
