"""The pictures that MLflow keeps of an evaluation."""

import textwrap

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from level3_training_pipeline.pipeline.evaluate import Evaluation
from shared import pictures
from shared.pictures import BASE_RATE, CHALLENGER, CHAMPION, FONT, NEUTRAL

COLOURS = {"candidate": CHALLENGER, "champion": CHAMPION, "base rate": BASE_RATE}
LOSS = "log loss, nats per flight (lower is better)"
FEWEST = 30  # flights of a slice; of fewer, the interval says little


def calibration(evaluation: Evaluation) -> Figure:
    """Share late against probability, ten equally filled bins."""
    table = 100 * evaluation.calibration[["predicted", "observed"]]
    rows = evaluation.calibration["rows"]
    gap = np.average((table["predicted"] - table["observed"]).abs(), weights=rows)
    title = f"Predicted and observed are {gap:.1f} percentage points apart, on average over {rows.sum():,.0f} flights"
    figure, (axes,) = pictures.draw(title, 560)
    end = 1.1 * table.to_numpy().max()
    axes.plot([0, end], [0, end], color=NEUTRAL, linewidth=1.5)
    axes.plot(table["predicted"], table["observed"], "o-", color=CHALLENGER, linewidth=2.5, markersize=9)
    pictures.write(axes, "as predicted", (end, end), NEUTRAL)
    pictures.write(axes, "candidate", (table["predicted"].iloc[-1], table["observed"].iloc[-1]), CHALLENGER, (12, -12))
    axes.set(xlabel="mean probability of ten bins with equally many flights, %", ylabel="flights that were late, %")
    return figure


def slices(evaluation: Evaluation) -> Figure:
    """Log loss by origin and by carrier with 95% intervals, beside the candidate's on all flights."""
    table = pd.concat([one.sort_values("log_loss") for one in evaluation.slices.values()])
    enough = table["rows"] >= min(FEWEST, table["rows"].max())
    shown, few = table[enough], table[~enough]
    whole = evaluation.scores["candidate"].log_loss
    hardest = shown.sort_values("log_loss").tail(1)
    ((name, loss, interval),) = hardest[["log_loss", "interval"]].itertuples()
    title = f"{name} is hardest to predict: log loss {loss:.2f} ± {interval:.2f} (all flights {whole:.2f})"
    figure, (axes,) = pictures.draw(title, 170 + 30 * len(shown))
    axes.errorbar(
        shown["log_loss"], _names(shown), xerr=shown["interval"], fmt="o", color=CHALLENGER, elinewidth=3, markersize=9
    )
    axes.axvline(whole, color=NEUTRAL, linewidth=1.5)
    origins = shown.index.isin(evaluation.slices["origin"].index).sum()
    axes.axhline(origins - 0.5, color=NEUTRAL, linewidth=1.5, linestyle=":")
    axes.set(ylim=(len(shown) - 0.4, -0.6), ylabel="origin or carrier (flights)")
    axes.set_xlabel("log loss, nats per flight, with 95% intervals\nLine: all flights. Units of the intervals: days.")
    if len(few):
        text = f"Not drawn, because of fewer than {FEWEST} flights: {', '.join(_names(few))}"
        figure.supxlabel(textwrap.fill(text, 78), x=0.01, ha="left", fontsize=FONT, color=NEUTRAL)
    return figure


def _names(table: pd.DataFrame) -> list[str]:
    return [f"{name}\u00a0({rows:,.0f})" for name, rows in table["rows"].items()]


def scores(evaluation: Evaluation) -> Figure:
    """Log loss of each model on the same flights."""
    losses = {
        name: result.log_loss for name, result in sorted(evaluation.scores.items(), key=lambda one: one[1].log_loss)
    }
    rows = evaluation.scores["candidate"].rows
    title = f"Of {len(losses)} models on {rows:,} flights, the {next(iter(losses))} has the lowest log loss"
    figure, (axes,) = pictures.draw(title, 110 + 50 * len(losses))
    bars = axes.barh(list(losses), list(losses.values()), color=[COLOURS.get(name, NEUTRAL) for name in losses])
    axes.bar_label(bars, fmt="%.3f", fontsize=FONT, padding=6)
    axes.invert_yaxis()
    axes.set(xlabel=LOSS, xlim=(0, 1.15 * max(losses.values())))
    return figure
