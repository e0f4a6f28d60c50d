"""The picture of level 2: requests during a release and its rollback."""

import os
from pathlib import Path

from level2_devops.load_generator import Traffic
from shared.settings import Settings


def draw_switches(seen: Traffic, settings: Settings) -> Path:
    """Draw the milliseconds of every request, coloured by the version that answered it; returns the PNG."""
    home = settings.level("level2")
    # Matplotlib reads this on import; without it, it writes into the user's home.
    os.environ.setdefault("MPLCONFIGDIR", str(home / "matplotlib"))
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.4), dpi=100, layout="constrained")
    axes = figure.subplots()
    begun = seen.rows[0][0]
    for version in sorted({row[3] for row in seen.rows if row[2] == 200}):
        rows = [row for row in seen.rows if row[2] == 200 and row[3] == version]
        label = f"{version}: {len(rows):,} answers"
        axes.scatter([row[0] - begun for row in rows], [row[1] for row in rows], s=7, label=label)
    times, milliseconds = [row[0] - begun for row in seen.failed], [row[1] for row in seen.failed]
    axes.scatter(times, milliseconds, marker="x", color="red", s=40, label=f"failed: {len(seen.failed)}")
    axes.set(yscale="log", xlabel="seconds", ylabel="milliseconds", title="Requests during a release and its rollback")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(ncols=3, loc="upper center", frameon=False, markerscale=2)
    axes.set_ylim(top=3 * max(row[1] for row in seen.rows))
    axes.set_yticks([10, 30, 100, 300, 1000], ["10", "30", "100", "300", "1,000"])
    axes.minorticks_off()
    file = home / "swap.png"
    figure.savefig(file)
    return file
