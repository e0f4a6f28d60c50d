"""The verdict on a challenger, found from its closed days alone: the same days, the same verdict, on any machine."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from level4_deployment.experiment import sequential
from level4_deployment.experiment.design import BETTER, HARM, Plan, decide, make_plan
from level4_deployment.experiment.sequential import Floats
from shared.errors import UserError

__all__ = ["Plan", "Verdict", "judge", "make_plan", "trajectory"]
Kind = Literal["running", "promote", "reject", "inconclusive", "blocked"]
MISMATCH = 0.001  # a sample ratio less likely than this blocks any verdict


@dataclass(frozen=True)
class Verdict:
    """What was decided, and the figures it was decided on, as they were on `day`.

    day: of the experiment, counting closed days with evidence; flights: of these days, the rows behind it all.
    mean, lower, upper: the challenger's gain in nats per flight, and its two-sided confidence sequence; None before
    first_harm_day. boundary: what z must reach at this day's look, or else at the next.
    """

    kind: Kind
    reason: str
    day: int
    flights: int
    mean: float | None = None
    z: float | None = None
    boundary: float | None = None
    lower: float | None = None
    upper: float | None = None


class Trajectory(NamedTuple):
    """The gain after 1, 2, … units: nats per flight. needed: what the mean must reach, infinite between the looks."""

    days: Floats
    mean: Floats
    z: Floats
    lower: Floats
    upper: Floats
    needed: Floats
    most: Floats  # the one-sided confidence sequence that harm is seen by


def judge(plan: Plan, days: pd.DataFrame, arms: Mapping[str, int]) -> Verdict:
    """The verdict after these closed days: columns day, flights, difference (the day's mean, above 0 is better).

    arms: flights of the live split by arm, `champion` and `challenger`; all 0 in shadow. Days without evidence (no
    flight with both scores and an outcome) do not count. Days to come never change what was decided before them.
    Raises UserError for days that cannot be judged.
    """
    days = _evidence(days)
    units = plan.units(days["mean_loss_difference"].to_numpy(float))
    if len(units) < 2:
        return Verdict(
            "running", f"too early to tell: closed days so far: {len(days)}", len(days), int(days["flights"].sum())
        )
    kinds, ends = decide(plan, units[None])
    end = int(ends[0])
    path = trajectory(plan, days, end)
    day = end * plan.size
    flights = int(days["flights"].iloc[:day].sum())
    ahead = plan.bounds.better[end - 1 :]
    boundary = float(ahead[np.isfinite(ahead)][0])
    kind, reason = _in_words(plan, path, int(kinds[0]), boundary)
    if mismatch := _mismatch(plan, arms):
        kind, reason = "blocked", mismatch
    reason = f"{reason} (day {day} of {plan.max_days}, {flights:,} flights)"
    figures = (_number(part[-1]) for part in (path.lower, path.upper))
    return Verdict(kind, reason, day, flights, float(path.mean[-1]), float(path.z[-1]), boundary, *figures)


def trajectory(plan: Plan, days: pd.DataFrame, end: int | None = None) -> Trajectory:
    """How the evidence grew, unit by unit, up to the last planned one or to `end`; days as `judge` has them."""
    units = plan.units(_evidence(days)["mean_loss_difference"].to_numpy(float))[:end]
    mean, error, z = sequential.running_statistics(units)
    needed, harm, both = (_in_nats(bound[: len(units)], error) for bound in plan.bounds)
    return Trajectory(
        np.arange(1.0, len(units) + 1) * plan.size, mean, z, mean - both, mean + both, needed, mean + harm
    )


def _in_words(plan: Plan, path: Trajectory, decided: int, boundary: float) -> tuple[Kind, str]:
    seen = f"mean gain {path.mean[-1]:+.4f} nats per flight, z {path.z[-1]:.2f}"
    if decided == BETTER:
        return "promote", f"better: {seen}, and {boundary:.2f} was needed"
    if decided == HARM:
        return "reject", f"worse: {seen}, at most {path.most[-1]:+.4f} by a bound that holds on every day"
    if path.days[-1] < plan.max_days:
        return "running", f"not decided yet: {seen}, {boundary:.2f} is needed at the next look"
    if path.most[-1] < plan.smallest_gain:
        return (
            "reject",
            f"not worth having: {seen}, at most {path.most[-1]:+.4f}, where {plan.smallest_gain:g} was asked for",
        )
    return "inconclusive", f"not proven: {seen}, and {boundary:.2f} was needed; the champion stays"


def _mismatch(plan: Plan, arms: Mapping[str, int]) -> str:
    """What is wrong with the live split, or nothing."""
    p = sequential.sample_ratio(arms, plan.share)
    if p >= MISMATCH:
        return ""
    total = arms["champion"] + arms["challenger"]
    return (
        f"no verdict: the challenger got {arms['challenger']:,} of {total:,} flights where {plan.share:.0%} was asked "
        f"for (p {p:.1g}), so flights are lost on the way"
    )


def _evidence(days: pd.DataFrame) -> pd.DataFrame:
    """The days that count, checked."""
    if missing := [name for name in ("day", "flights", "mean_loss_difference") if name not in days]:
        raise UserError(f"days: no column {', '.join(missing)}. Remedy: give day, flights and difference.")
    if not (days["day"].is_monotonic_increasing and days["day"].is_unique):
        raise UserError("days: not in order, or one comes twice. Remedy: give each closed day once, oldest first.")
    found = days[days["flights"] > 0]
    wrong = ~np.isfinite(found["mean_loss_difference"].to_numpy(float))
    if wrong.any():
        first = found[wrong].iloc[0]
        raise UserError(
            f"days: {wrong.sum()} of {len(found)} differences are no finite numbers (first: {first['day']} = "
            f"{first['mean_loss_difference']}, {first['flights']:,} flights). Remedy: see what was logged on that day."
        )
    return found


def _in_nats(bound: Floats, error: Floats) -> Floats:
    """How far from 0 the mean lies when z is at the bound; infinite where the bound is."""
    far = sequential.t_of_z(bound, np.maximum(np.arange(1, len(error) + 1), 2))
    return np.multiply(far, error, out=np.full(len(error), np.inf), where=np.isfinite(far))


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
