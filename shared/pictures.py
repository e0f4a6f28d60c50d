"""One look for every picture of the project: it can be read in a lecture room, in print and by colour-blind people.

A picture is WIDTH CSS pixels wide where documents show it, and its file has twice as many. Sizes are given to each text
and not to matplotlib's settings, which other code of the process shares. Matplotlib is imported where it is used: it
reads MPLCONFIGDIR when it is imported, and takes a while.
"""

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Place = tuple[float, float]

WIDTH, PER_INCH = 800, 96  # CSS pixels
FONT, TITLE = 14, 16  # points, where the picture is shown WIDTH wide
TITLE_LETTERS = 70  # in a line

# Those of Okabe and Ito (2008), purple darker so that it is seen on white. A colour has one meaning at every level.
CHAMPION = "#0072B2"  # the model, release or method in use
CHALLENGER = "#B5508F"  # what may replace it
BASE_RATE = "#000000"
BETTER = "#009E73"
WORSE = "#D55E00"
NEUTRAL = "#555555"


def draw(title: str, height: int, rows: int = 1, **grid: Any) -> tuple["Figure", list["Axes"]]:
    """A figure that is `height` CSS pixels high, and its panels from top to bottom; title: what is seen, a sentence."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    size = WIDTH / PER_INCH, height / PER_INCH
    figure = Figure(figsize=size, dpi=2 * PER_INCH, layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.08))
    figure.suptitle(textwrap.fill(title, TITLE_LETTERS), x=0.01, ha="left", fontsize=TITLE)
    panels = figure.subplots(rows, squeeze=False, sharex=True, **grid)[:, 0].tolist()
    for axes in panels:
        axes.tick_params(labelsize=FONT)
        axes.xaxis.label.set_size(FONT)
        axes.yaxis.label.set_size(FONT)
        axes.spines[["top", "right"]].set_visible(False)
    return figure, panels


def write(axes: "Axes", text: str, at: Place, colour: str, shift: Place = (8, 0)) -> None:
    """Write beside a place in the data: `shift` points to the right of it (to the left if below 0), and above it."""
    from matplotlib.patheffects import withStroke

    side: Any = "left" if shift[0] >= 0 else "right"
    note = axes.annotate(
        text,
        at,
        xytext=shift,
        textcoords="offset points",
        ha=side,
        va="center",
        color=colour,
        fontsize=FONT,
        fontweight="bold",
    )
    note.set_path_effects([withStroke(linewidth=4, foreground="white")])  # where a line runs behind it


def name_ends(axes: "Axes", ends: list[tuple[str, Place, str]]) -> None:
    """Write (text, end of a line in the data, colour) in a column beside these ends, apart where they would touch."""
    figure: Any = axes.figure
    figure.draw_without_rendering()  # lays it out: only then are distances known
    points, column = 72 / figure.dpi, max(at[0] for _, at, _ in ends)
    lines = [(line, at[1], colour) for text, at, colour in ends for line in reversed(text.split("\n"))]
    lines.sort(key=lambda line: line[1])
    heights = [points * float(axes.transData.transform((column, y))[1]) for _, y, _ in lines]
    for (text, y, colour), height, place in zip(lines, heights, apart(heights, 1.3 * FONT), strict=True):
        write(axes, text, (column, y), colour, (12, place - height))


def apart(places: list[float], gap: float) -> list[float]:
    """The places, in ascending order, moved until each is `gap` from the next.

    >>> apart([0.0, 1.0, 9.0], 3.0)
    [-1.0, 2.0, 9.0]
    """
    moved = list(places)
    for _ in range(100):
        for low in range(len(moved) - 1):
            short = gap - (moved[low + 1] - moved[low])
            if short > 0:
                moved[low : low + 2] = [moved[low] - short / 2, moved[low + 1] + short / 2]
    return moved


def save(figure: "Figure", file: Path) -> Path:
    """Write the PNG, with the few colours that such a picture has; returns its path."""
    from PIL import Image

    figure.savefig(file, format="png")
    with Image.open(file) as picture:
        few = picture.convert("RGB").quantize(64, dither=Image.Dither.NONE)
    few.save(file, optimize=True)
    return file
