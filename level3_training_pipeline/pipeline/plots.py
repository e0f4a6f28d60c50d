"""The pictures that MLflow keeps of an evaluation."""

import pandas as pd
from matplotlib.figure import Figure

from level3_training_pipeline.pipeline.evaluate import Evaluation


def calibration(evaluation: Evaluation) -> Figure:
    """Share late against probability, ten equally filled bins."""
    table = evaluation.calibration
    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="grey", linewidth=1)
    axes.plot(table["predicted"], table["observed"], marker="o")
    axes.set(xlabel="mean probability", ylabel="share late", title=f"Calibration, {table['rows'].sum():,.0f} flights")
    return figure


def slices(evaluation: Evaluation) -> Figure:
    """Log loss by origin and by carrier, beside the candidate's on all flights."""
    table = pd.concat(evaluation.slices)
    whole = evaluation.scores["candidate"].log_loss
    figure = Figure(figsize=(6, 6), layout="constrained")
    axes = figure.subplots()
    axes.barh(
        [f"{value} ({rows:,.0f})" for value, rows in zip(table.index.get_level_values(1), table["rows"], strict=True)],
        table["log_loss"],
    )
    axes.axvline(whole, color="black", linewidth=1)
    axes.invert_yaxis()
    axes.set(xlabel="log loss (line: all flights)", title="By origin and carrier (number of flights)")
    return figure


def scores(evaluation: Evaluation) -> Figure:
    """Log loss of each model on the same flights."""
    figure = Figure(figsize=(6, 2.5), layout="constrained")
    axes = figure.subplots()
    losses = {name: result.log_loss for name, result in evaluation.scores.items()}
    bars = axes.barh(list(losses), list(losses.values()))
    axes.bar_label(bars, fmt="%.3f")
    axes.invert_yaxis()
    axes.set(xlabel="log loss, nats per flight", xlim=(0, 1.15 * max(losses.values())))
    return figure
