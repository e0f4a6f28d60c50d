"""The picture of a verdict, and that of the A/B test's error rates."""

import textwrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from level4_deployment.experiment.design import Plan, Trajectory, Verdict, trajectory

COLOURS = {"promote": "tab:green", "reject": "tab:red", "blocked": "tab:red"}


def verdict_plot(plan: Plan, days: pd.DataFrame, verdict: Verdict) -> Figure:
    """The gain day by day: mean, confidence sequence, and what decides: the boundary at each look, the bound on harm.

    It can be read on a phone. Days after the verdict are not drawn.
    """
    figure = Figure(figsize=(5.4, 4.6), dpi=130, layout="constrained")
    axes = figure.subplots()
    path = trajectory(plan, days)
    kept = path.days <= verdict.day
    path = Trajectory(*(part[kept] for part in path))
    colour = COLOURS.get(verdict.kind, "tab:gray")
    axes.axhline(0, color="black", linewidth=1)
    for look in range(plan.look_every, plan.max_days + 1, plan.look_every):
        axes.axvline(look, color="lightgray", linewidth=1, zorder=0)
    if len(path.days) > 1:
        _draw(axes, path, colour, plan.alpha)
        axes.legend(frameon=False, fontsize=8)
    if verdict.least is not None:  # the test of non-inferiority, once the plan is over
        axes.axhline(-1000 * plan.margin, color="tab:gray", linestyle=":", label="minus the margin of non-inferiority")
        axes.plot(verdict.day, 1000 * verdict.least, "^", color=colour, label="lower bound (one-sided) at the end")
        axes.legend(frameon=False, fontsize=8)
    axes.set(
        xlim=(0, plan.max_days + 1),
        xticks=[0, *range(plan.look_every, plan.max_days + 1, plan.look_every)],
        xlabel="closed days (grey lines: the planned looks)",
        ylabel="gain, thousandths of a nat per flight",
    )
    axes.set_title("\n".join(textwrap.wrap(f"{verdict.kind}: {verdict.reason(plan)}", 62)), fontsize=10, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _draw(axes: Axes, path: Trajectory, colour: str, alpha: float) -> None:
    """All in thousandths of a nat: a gain then has two digits. The axis shows everything that decides."""
    mean, lower, upper, needed, most = (
        1000 * part for part in (path.mean, path.lower, path.upper, path.needed, path.most)
    )
    always, looks = np.isfinite(lower), np.isfinite(needed)
    sure = f"{1 - alpha:.0%} confidence sequence,\nvalid on every day"
    axes.fill_between(path.days[always], lower[always], upper[always], color="tab:blue", alpha=0.2, label=sure)
    axes.plot(path.days, mean, color="tab:blue", linewidth=2, label="mean so far")
    axes.vlines(path.days[-1:], lower[-1:], upper[-1:], color="tab:blue", linewidth=3, alpha=0.5)
    axes.plot(path.days[-1:], mean[-1:], "o", color=colour, markersize=10)
    axes.plot(path.days[looks], needed[looks], "_", color="black", markersize=20, mew=3, label="boundary at the look")
    harm = f"upper bound ({1 - alpha:.0%}, one-sided):\nbelow 0 it is harm"
    axes.plot(path.days[always], most[always], color="tab:red", linestyle="--", marker=".", label=harm)
    shown = np.concatenate([part[np.isfinite(part)] for part in (lower, upper, mean[6:], needed[-1:])])
    if len(shown):
        room = 0.1 * np.ptp(shown) + 0.1
        axes.set_ylim(shown.min() - room, shown.max() + room)


def calibration_plot(rates: pd.DataFrame, alpha: float) -> Figure:
    """False promotions of each method, %: of symmetric independent days, and of each pair's real blocks."""
    figure = Figure(figsize=(5.4, 4.2), dpi=130, layout="constrained")
    axes = figure.subplots()
    methods = list(rates["method"].unique())
    for place, name in enumerate(methods):
        found = 100 * rates.loc[rates["method"] == name, ["symmetric", "false"]]
        axes.plot(found["false"], np.full(len(found), place), "o", color="tab:blue", alpha=0.4, markersize=5)
        axes.plot(found["false"].mean(), place, "|", color="tab:blue", markersize=18, mew=3)
        axes.plot(found["symmetric"].mean(), place, "x", color="tab:orange", markersize=7, mew=2)
    axes.plot([], [], "o", color="tab:blue", alpha=0.4, label="a pair of models, real blocks")
    axes.plot([], [], "|", color="tab:blue", markersize=12, mew=3, label="mean of the pairs")
    axes.plot([], [], "x", color="tab:orange", mew=2, label="symmetric independent days, mean")
    axes.axvline(100 * alpha, color="black", linewidth=1)
    axes.set_yticks(range(len(methods)), methods)
    axes.invert_yaxis()
    axes.set_xlabel("false promotions, % (line: alpha)")
    axes.legend(frameon=False, fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    return figure
