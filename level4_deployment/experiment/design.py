"""The design of an experiment: its plan, fixed before the first day, and the verdict that its closed days lead to.

A verdict depends on the plan and the closed days alone: the same days give the same verdict, after any restart.
"""

from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, Literal, NamedTuple, Self, get_type_hints

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from level4_deployment.experiment import sequential
from level4_deployment.experiment.sequential import Floats
from shared.errors import UserError

BETTER, HARM, UNDECIDED = 1, -1, 0
SIMULATED = 4000  # experiments, to predict the power of a plan
YEAR = 366  # days: the longest plan
MISMATCH = 0.001  # no verdict where the sample ratio is less likely than this
COLUMNS = ("day", "flights", "mean_loss_difference", "champion_arm", "challenger_arm")  # of closed days
Kind = Literal["running", "promote", "reject", "inconclusive", "blocked"]


class Bounds(NamedTuple):
    """What z must reach after 1, 2, … units; infinite where nothing is decided. harm is one-sided, both two-sided."""

    better: Floats
    harm: Floats
    both: Floats


@dataclass(frozen=True)
class Plan:
    """The plan of an experiment; plain values, so JSON holds all of it. Raises UserError if its parts do not fit.

    alpha: the probability of promoting a challenger that is no better, and also of rejecting as harmful one that is no
    worse. smallest_gain: the smallest useful gain, in nats per flight. margin: of non-inferiority, in nats per flight:
    a challenger that is worse by less is as good for practice. share: of flights that the challenger answers in the
    live split. unit: what counts as one independent observation. predicted_power and expected_days: for the
    smallest gain, simulated with the SD of `history_days` earlier days; None without a history.
    """

    alpha: float = 0.05
    max_days: int = 28
    look_every: int = 7
    first_harm_day: int = 7
    smallest_gain: float = 0.005
    margin: float = 0.005
    share: float = 0.1
    unit: Literal["day", "week"] = "day"
    history_days: int = 0
    history_sd: float | None = None
    history_lag_one: float | None = None
    predicted_power: float | None = None
    expected_days: float | None = None

    @classmethod
    def of(cls, **wished: Any) -> Self:
        """The plan with these fields; raises UserError for a name that is no field."""
        if unknown := sorted(wished.keys() - {field.name for field in fields(cls)}):
            known = ", ".join(field.name for field in fields(cls))
            raise UserError(f"a plan has no {', '.join(unknown)}. Remedy: its fields are {known}.")
        return cls(**wished)

    def __post_init__(self) -> None:
        """Check types, ranges, and that whole looks fit into the plan."""
        for name, kind in get_type_hints(Plan).items():
            value, allowed = getattr(self, name), str if name == "unit" else kind if kind is int else kind | int
            if not isinstance(value, allowed) or isinstance(value, bool):
                shown = getattr(kind, "__name__", kind)
                raise UserError(
                    f"plan: {name}={value!r} is not of its type, {shown}. Remedy: leave it out, or see Plan."
                )
        known = self.unit in ("day", "week") and self.look_every > 0 < self.max_days
        whole = known and self.look_every % self.size == 0 == self.max_days % self.look_every
        finite = all(abs(one) < 1e6 for one in vars(self).values() if isinstance(one, int | float))  # no NaN either
        fits = self.size < self.max_days <= YEAR
        if not (whole and finite and fits and 0 < self.alpha < 0.5 and 0 < self.share < 1 and self.margin >= 0):
            raise UserError(
                f"this plan cannot be carried out: {vars(self)}. Remedy: alpha below 0.5, share between 0 and 1, no "
                "negative margin, max_days a multiple of look_every and at most 366, finite numbers, unit day or week; "
                "by the week both are multiples of 7."
            )

    def __str__(self) -> str:
        """For people."""
        plan = f"up to {self.max_days} days, by the {self.unit}, a look every {self.look_every}, alpha {self.alpha:g}"
        if self.predicted_power is None:
            return f"{plan}; power unknown: there are no earlier days"
        found = "no gain is required; a challenger that is as good is promoted with a probability of"
        if self.smallest_gain:
            found = f"a gain of {self.smallest_gain:g} nats per flight is found with a power of"
        return (
            f"{plan}; {found} {self.predicted_power:.0%}, in {self.expected_days:.0f} days on average "
            f"(simulated from {self.history_days} earlier days: SD {self.history_sd:.4f}, "
            f"lag-1 correlation {self.history_lag_one:+.2f})"
        )

    @property
    def size(self) -> int:
        """Days in a unit."""
        return 7 if self.unit == "week" else 1

    @cached_property
    def bounds(self) -> Bounds:
        """Promotion at the looks; harm and confidence sequence from first_harm_day on, tightest half-way through."""
        units = np.arange(1, self.max_days // self.size + 1)
        looks = units[(units * self.size % self.look_every == 0) & (units > 1)]
        better = np.full(len(units), np.inf)
        better[looks - 1] = sequential.boundaries(self.alpha, tuple((looks / len(units)).tolist()))
        early = units * self.size < self.first_harm_day
        harm = sequential.one_sided_boundary(units, sequential.best_rho(2 * self.alpha, len(units) / 2), self.alpha)
        both = sequential.two_sided_boundary(units, sequential.best_rho(self.alpha, len(units) / 2), self.alpha)
        return Bounds(better, np.where(early, np.inf, harm), np.where(early, np.inf, both))

    def units(self, days: Floats) -> Floats:
        """The units of (..., n) day means; days after the last planned one are left out."""
        return (sequential.weekly_means(days) if self.unit == "week" else days)[..., : self.max_days // self.size]


def make_plan(history: ArrayLike, **wished: Any) -> Plan:
    """A plan whose power is simulated from earlier days' mean paired differences (nats per flight).

    wished: fields of Plan. Fewer than three earlier days predict no power.
    """
    plan, days = Plan.of(**wished), np.asarray(history, dtype=float)
    if not np.isfinite(days).all():
        wrong = int((~np.isfinite(days)).sum())
        raise UserError(f"history: {wrong} of {len(days)} differences are no finite numbers. Remedy: leave them out.")
    if len(days) < 3:
        return plan
    sd = float(days.std(ddof=1))
    noise = np.random.default_rng(0).standard_normal((SIMULATED, plan.max_days))
    kinds, ends = decide(plan, plan.units(plan.smallest_gain + sd * noise))
    return replace(
        plan,
        history_days=len(days),
        history_sd=sd,
        history_lag_one=sequential.lag_one_correlation(days)[0],
        predicted_power=float((kinds == BETTER).mean()),
        expected_days=float(ends.mean() * plan.size),
    )


def decide(plan: Plan, units: Floats) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
    """For each of (runs, n) units: BETTER, HARM or UNDECIDED, and after how many units; the first crossing decides."""
    z, n = sequential.running_statistics(units).z, units.shape[1]
    better, harm = z >= plan.bounds.better[:n], z <= -plan.bounds.harm[:n]
    first, run = np.argmax(better | harm, axis=1), np.arange(len(z))
    kinds = np.where(better[run, first], BETTER, np.where(harm[run, first], HARM, UNDECIDED))
    return kinds, np.where(kinds == UNDECIDED, n, first + 1)


def lower_bounds(plan: Plan, units: Floats) -> Floats:
    """For each of (runs, n) units: the one-sided lower confidence bound of the mean gain, nats per flight, at alpha.

    For a single look, at the plan's end; not valid at several.
    """
    mean, error, _ = (part[:, -1] for part in sequential.running_statistics(units))
    return mean - stats.t.isf(plan.alpha, units.shape[1] - 1) * error


def non_inferiority(plan: Plan, units: Floats) -> NDArray[np.bool_]:
    """For each of (runs, n) units: whether its one-sided lower bound shows that the challenger is not worse by margin.

    The test of non-inferiority (Piaggio et al., JAMA 2012): a challenger that is worse by exactly the margin passes
    with probability alpha.
    """
    return lower_bounds(plan, units) > -plan.margin


@dataclass(frozen=True)
class Verdict:
    """What was decided, and the figures it was decided on, as they were on `day`; plain values, so JSON holds them.

    day: of the experiment, counting closed days with evidence; flights: of these days. mean: the challenger's gain in
    nats per flight. boundary: what z must reach at this day's look, or else at the next. lower, upper: the two-sided
    confidence sequence of the gain; most: the one-sided one, whose upper bound shows harm below 0; None before
    first_harm_day. champion_arm, challenger_arm: flights of the live split on these days. least: the one-sided lower
    bound of the gain at the plan's last day, and non_inferior: whether it is above minus the margin; of an inconclusive
    verdict only.
    """

    kind: Kind
    day: int
    flights: int
    mean: float | None = None
    z: float | None = None
    boundary: float | None = None
    lower: float | None = None
    upper: float | None = None
    most: float | None = None
    champion_arm: int = 0
    challenger_arm: int = 0
    least: float | None = None
    non_inferior: bool = False

    def reason(self, plan: Plan) -> str:
        """The figures as a sentence."""
        if self.mean is None:
            return f"too early: {self.day} closed days so far"
        return f"{self._finding(plan)}; day {self.day} of {plan.max_days}, {self.flights:,} flights"

    def _finding(self, plan: Plan) -> str:
        found = f"mean gain {self.mean:+.4f} nats per flight, z {self.z:.2f}"
        match self.kind:
            case "running":
                return f"undecided: {found}; the next look needs {self.boundary:.2f}"
            case "promote":
                return f"better: {found}, above the boundary of {self.boundary:.2f}"
            case "inconclusive":
                shown = "non-inferior" if self.non_inferior else "non-inferiority not shown either"
                least = "" if self.least is None else f"lower bound {self.least:+.4f}, one-sided, "
                return (
                    f"not proven: {found}, below the boundary of {self.boundary:.2f}; {shown} ({least}margin "
                    f"{plan.margin:g})"
                )
            case "blocked":
                arms = {"champion": self.champion_arm, "challenger": self.challenger_arm}
                seen = f"{self.challenger_arm:,} of {sum(arms.values()):,} flights where {plan.share:.0%} was planned"
                return f"sample-ratio mismatch: {seen} (p {sequential.sample_ratio(arms, plan.share):.1g})"
            case "reject":
                worse = self.most is not None and self.most < 0
                limit = "0" if worse else f"the smallest useful gain, {plan.smallest_gain:g}"
                word = "worse" if worse else "too small"
                return f"{word}: {found}; upper confidence bound {self.most:+.4f}, below {limit} (valid on every day)"


def judge(plan: Plan, closed: pd.DataFrame) -> Verdict:
    """The verdict after these closed days: `days_of` an experiment.

    Days without evidence (no flight with both scores and a label) do not count. The sample ratio is that of the days
    that the verdict was found on: later days neither block nor release it; in shadow, both arms are empty.
    Raises UserError for days that cannot be judged.
    """
    days = _evidence(closed)
    units = plan.units(days["mean_loss_difference"].to_numpy(float))
    if len(units) < 2:
        return Verdict("running", len(days), int(days["flights"].sum()))
    kinds, ends = decide(plan, units[None])
    end = int(ends[0])
    path = trajectory(plan, days, end)
    ahead = plan.bounds.better[end - 1 :]
    lower, upper, most = (
        float(part[-1]) if np.isfinite(part[-1]) else None for part in (path.lower, path.upper, path.most)
    )
    evidence = (closed["flights"] > 0).astype(int)
    found_on = closed[evidence.cumsum() - evidence < end * plan.size]
    arms = {arm: int(found_on[f"{arm}_arm"].sum()) for arm in ("champion", "challenger")}
    mismatch = sequential.sample_ratio(arms, plan.share) < MISMATCH
    kind: Kind = "blocked" if mismatch else _kind(plan, path, int(kinds[0]))
    least = float(lower_bounds(plan, units[None])[0]) if kind == "inconclusive" else None
    return Verdict(
        kind,
        day=end * plan.size,
        flights=int(days["flights"].iloc[: end * plan.size].sum()),
        mean=float(path.mean[-1]),
        z=float(path.z[-1]),
        boundary=float(ahead[np.isfinite(ahead)][0]),
        lower=lower,
        upper=upper,
        most=most,
        champion_arm=arms["champion"],
        challenger_arm=arms["challenger"],
        least=least,
        non_inferior=least is not None and least > -plan.margin,
    )


def _kind(plan: Plan, path: "Trajectory", decided: int) -> Kind:
    if decided == BETTER:
        return "promote"
    if decided == HARM:
        return "reject"
    if path.days[-1] < plan.max_days:
        return "running"
    return "reject" if path.most[-1] < plan.smallest_gain else "inconclusive"


class Trajectory(NamedTuple):
    """The gain after 1, 2, … units: nats per flight. needed: what the mean must reach, infinite between the looks."""

    days: Floats
    mean: Floats
    z: Floats
    lower: Floats
    upper: Floats
    needed: Floats
    most: Floats  # the upper bound of the one-sided confidence sequence


def trajectory(plan: Plan, days: pd.DataFrame, end: int | None = None) -> Trajectory:
    """How the evidence grew, unit by unit, up to the last planned one or to `end`; days as `judge` has them."""
    units = plan.units(_evidence(days)["mean_loss_difference"].to_numpy(float))[:end]
    mean, error, z = sequential.running_statistics(units)
    needed, harm, both = (_in_nats(bound[: len(units)], error) for bound in plan.bounds)
    at = np.arange(1.0, len(units) + 1) * plan.size
    return Trajectory(at, mean, z, mean - both, mean + both, needed, mean + harm)


def _in_nats(bound: Floats, error: Floats) -> Floats:
    """How far the mean is from 0 when z is at the bound; infinite where the bound is."""
    far = sequential.t_of_z(bound, np.maximum(np.arange(1, len(error) + 1), 2))
    return np.multiply(far, error, out=np.full(len(error), np.inf), where=np.isfinite(far))


def _evidence(days: pd.DataFrame) -> pd.DataFrame:
    """The days that count, checked."""
    if missing := [name for name in COLUMNS if name not in days]:
        raise UserError(f"days: no column {', '.join(missing)}. Remedy: {', '.join(COLUMNS)}.")
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
