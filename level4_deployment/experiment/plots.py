"""The picture of a verdict, and that of the A/B test's error rates."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from level4_deployment.experiment.design import Plan, Trajectory, Verdict, trajectory
from shared import pictures
from shared.pictures import BASE_RATE, BETTER, CHALLENGER, FONT, NEUTRAL, WORSE

COLOURS = {"promote": BETTER, "reject": WORSE, "blocked": WORSE}
FARTHEST = 6.0  # standard errors: z is drawn on the same scale in every picture


def verdict_plot(plan: Plan, days: pd.DataFrame, verdict: Verdict, challenger: int) -> Figure:
    """The gain day by day with its confidence sequence, and z with the boundaries that decide.

    Days after the verdict are not drawn.
    """
    figure, (gain, z) = pictures.draw(headline(plan, verdict, challenger), 700, rows=2, height_ratios=(3, 2))
    path = trajectory(plan, days)
    path = Trajectory(*(part[path.days <= verdict.day] for part in path))
    colour = COLOURS.get(verdict.kind, NEUTRAL)
    looks = range(plan.look_every, plan.max_days + 1, plan.look_every)
    for axes in (gain, z):
        axes.axhline(0, color=BASE_RATE, linewidth=1)
        for look in looks:
            axes.axvline(look, color="lightgray", linewidth=1, zorder=0)
    gain.set(ylabel="gain over the champion,\nnats per flight", xlim=(0, plan.max_days + 1), xticks=[0, *looks])
    z.set(xlabel="closed days since the start (grey lines: planned looks)", ylabel="z, standard errors")
    _draw_bounds(z, plan)
    if len(path.days) > 1:
        _draw_gain(gain, path, plan, verdict)
        z.plot(path.days, path.z, color=CHALLENGER, linewidth=3)
        z.plot(path.days[-1:], path.z[-1:], "o", color=colour, markersize=11)
        gain.plot(path.days[-1:], path.mean[-1:], "o", color=colour, markersize=11)
    farthest = max(FARTHEST, 1.1 * np.nanmax(np.abs(path.z), initial=0))
    z.set_ylim(-farthest, farthest)
    z.locator_params(axis="y", nbins=6, steps=[2, 4, 10])
    return figure


def headline(plan: Plan, verdict: Verdict, challenger: int) -> str:
    """The verdict and the figure that decided, as a sentence in the units of the picture."""
    who, day = f"Version {challenger}", f"day {verdict.day}"
    if verdict.mean is None or verdict.z is None:
        return f"{who}: too early, {verdict.day} closed days so far"
    match verdict.kind:
        case "promote" if verdict.non_inferior:
            found = f"lower bound {verdict.least:+.4f}, above {-plan.margin:g} nats per flight"
            text = f"{who} is not worse by the margin on {day}: promoted ({found})"
        case "promote":
            text = f"{who} crosses the upper boundary on {day}: promoted (z\u00a0{verdict.z:+.2f})"
        case "reject" if verdict.most is not None and verdict.most < 0:
            text = f"{who} crosses the lower boundary on {day}: rejected (z\u00a0{verdict.z:+.2f})"
        case "reject":
            text = f"{who} gains too little by {day}: rejected (upper bound {verdict.most:+.4f} nats per flight)"
        case "blocked":
            text = f"{who} is blocked on {day}: its share of the flights is not as planned"
        case "inconclusive":
            text = f"{who} crosses no boundary by {day}: inconclusive (z\u00a0{verdict.z:+.2f})"
        case "running":
            text = f"{who} is undecided after {day}: z {verdict.z:+.2f}, {verdict.boundary:.2f} needed at the next look"
    return text.replace("-", "−")


def _draw_bounds(axes: Axes, plan: Plan) -> None:
    days, (better, harm, _) = np.arange(1, plan.max_days + 1), plan.bounds
    looks, daily = np.isfinite(better), np.isfinite(harm)
    axes.plot(days[looks], better[looks], "_", color=BETTER, markersize=22, mew=4)
    axes.plot(days[daily], -harm[daily], "--", color=WORSE, linewidth=2.5)
    pictures.write(axes, "promoted above", (plan.max_days, better[-1]), BETTER, (16, 0))
    pictures.write(axes, "rejected below", (plan.max_days, -harm[-1]), WORSE, (16, 0))


def _draw_gain(axes: Axes, path: Trajectory, plan: Plan, verdict: Verdict) -> None:
    """The axis shows everything from the first day with a confidence sequence on, and the means of the first week."""
    always, last = np.isfinite(path.lower), path.days[-1]
    axes.fill_between(
        path.days[always], path.lower[always], path.upper[always], color=CHALLENGER, alpha=0.2, linewidth=0
    )
    axes.plot(path.days, path.mean, color=CHALLENGER, linewidth=3)
    ends = [("mean gain", (last, path.mean[-1]), CHALLENGER)]
    if always.any():
        ends.append((f"{1 - plan.alpha:.0%} confidence\nsequence", (last, path.upper[-1]), CHALLENGER))
    if verdict.least is not None:  # the test of non-inferiority, once the plan is over
        axes.axhline(-plan.margin, color=NEUTRAL, linestyle=":", linewidth=2.5)
        axes.plot(last, verdict.least, "^", color=COLOURS.get(verdict.kind, NEUTRAL), markersize=12)
        ends += [("lower bound", (last, verdict.least), NEUTRAL), ("minus margin", (last, -plan.margin), NEUTRAL)]
    pictures.name_ends(axes, ends)


def calibration_plot(rates: pd.DataFrame, alpha: float) -> Figure:
    """False promotions of each method, %: of symmetric independent days, and of each pair's real blocks."""
    mean = 100 * rates.groupby("method", sort=False)[["symmetric", "false"]].mean()
    false = mean["false"]
    first, most = str(false.index[0]), str(false.idxmax())
    one, other = (f"“{name}”".replace(" ", "\u00a0") for name in (first, most))
    title = f"Of models that are no better, {one} promotes {false[first]:.1f}%, and {other} {false[most]:.1f}%"
    figure, (axes,) = pictures.draw(title, 180 + 40 * len(mean))
    for place, name in enumerate(mean.index):
        pairs = 100 * rates.loc[rates["method"] == name, "false"]
        axes.plot(pairs, np.full(len(pairs), place), "o", color=NEUTRAL, alpha=0.7, markersize=7, mew=0)
    everywhere = range(len(mean))
    axes.plot([], [], "o", color=NEUTRAL, alpha=0.7, mew=0, markersize=7, label="a pair of models, real weeks")
    axes.plot(false, everywhere, "|", color=WORSE, markersize=22, mew=4, label="mean of the pairs")
    axes.plot(
        mean["symmetric"],
        everywhere,
        "x",
        color=BASE_RATE,
        markersize=10,
        mew=3,
        label="mean of symmetric independent days",
    )
    axes.axvline(100 * alpha, color=NEUTRAL, linestyle="--", linewidth=1.5)
    axes.set(xlabel="false promotions, % of experiments", ylabel="method", ylim=(len(mean) - 0.4, -1))
    axes.set_yticks(everywhere, mean.index)
    pictures.write(axes, f"alpha {100 * alpha:g}%", (100 * alpha, -0.8), NEUTRAL)
    figure.legend(loc="outside lower left", ncols=2, frameon=False, fontsize=FONT)
    return figure
