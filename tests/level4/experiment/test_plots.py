"""The picture of a verdict shows what was decided, and on what."""

import numpy as np
import pytest

from level4_deployment.experiment.design import Plan, judge
from level4_deployment.experiment.plots import verdict_plot
from tests.factories import closed_days, day_differences

PLAN = Plan(max_days=28)


@pytest.mark.parametrize(("mean", "days"), [(0.02, 28), (-0.1, 28), (0.0, 20), (0.0, 3), (0.0, 0)])
def test_a_verdict_is_drawn_with_its_reason_and_looks(mean: float, days: int) -> None:
    shown = closed_days(day_differences(mean, days) if days else [])
    verdict = judge(PLAN, shown)
    figure = verdict_plot(PLAN, shown, verdict)
    figure.canvas.draw()
    axes = figure.axes[0]
    assert axes.get_title("left").replace("\n", " ") == f"{verdict.kind}: {verdict.reason(PLAN)}"
    assert list(axes.get_xticks()) == [0, 7, 14, 21, 28]
    drawn = {str(line.get_label()).partition("\n")[0]: line for line in axes.get_lines()}
    if days:
        assert len(np.asarray(drawn["mean so far"].get_xdata())) == verdict.day
    if days >= PLAN.first_harm_day:
        most = np.asarray(drawn["upper bound (95%, one-sided):"].get_ydata(), dtype=float)
        assert (most[-1] < 0) == (verdict.kind == "reject"), "the bound that decides on harm is the one that is drawn"


def test_the_band_is_named_by_the_plans_own_alpha() -> None:
    plan, days = Plan(alpha=0.1), closed_days(day_differences(0.0, 20))
    labels = verdict_plot(plan, days, judge(plan, days)).axes[0].get_legend_handles_labels()[1]
    assert labels[:1] == ["90% confidence sequence,\nvalid on every day"]
