"""The design of an experiment: its plan, fixed before the first day, and the verdict that its closed days lead to.

A verdict depends on the plan and the closed days alone: the same days give the same verdict, after any restart.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, Any, Literal, NamedTuple, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from pydantic import Field, ValidationError
from pydantic.dataclasses import dataclass as checked_dataclass
from scipy import stats

from level4_deployment.experiment import sequential
from level4_deployment.experiment.sequential import Floats
from shared.errors import UserError

BETTER, HARM, UNDECIDED = 1, -1, 0
SIMULATED = 4000  # experiments, to predict the power of a plan
YEAR = 366  # days: the longest plan
MISMATCH = 0.001  # no verdict where the sample ratio is less likely than this
Kind = Literal["running", "promote", "reject", "inconclusive", "blocked"]
Nats = Annotated[float, Field(ge=0, lt=1e6)]  # per flight
Probability = Annotated[float, Field(ge=0, le=1)]


class Bounds(NamedTuple):
    """What z must reach after 1, 2, … days; infinite where nothing is decided. Only `both` is two-sided."""

    better: Floats
    harm: Floats
    both: Floats


@checked_dataclass(frozen=True, config={"extra": "forbid", "strict": True, "allow_inf_nan": False})
class Plan:
    """The plan of an experiment; plain values, so JSON holds all of it. pydantic checks their types and ranges.

    All tests are one-sided. alpha: the planned probability of promoting a challenger that is no better, of rejecting as
    harmful one that is no worse, and of calling non-inferior one that is worse by the margin. smallest_gain: the
    smallest useful gain. margin: of non-inferiority. promote_non_inferior: it is enough not to be worse by the margin;
    for a challenger of the champion's recipe on newer flights. share: of flights that the challenger answers in the
    live split. inflation: factor of every standard error, because bad days come in rows; `make simulate-ab` shows what
    1.5 and 56 days hold. For the smallest gain (or an equal challenger, where non-inferiority counts), simulated with
    the SD of `history_days` earlier days: expected_days, and the power with the highest and the lowest SD that they
    leave possible (95%); None without a history.
    """

    alpha: float = Field(default=0.05, gt=0, lt=0.5)
    max_days: int = Field(default=56, le=YEAR)
    look_every: int = Field(default=7, gt=0)
    first_harm_day: int = 7
    smallest_gain: Nats = 0.005
    margin: Nats = 0.005
    promote_non_inferior: bool = False
    share: float = Field(default=0.1, gt=0, lt=1)
    inflation: float = Field(default=1.5, ge=1, lt=1e6)
    history_days: int = 0
    history_sd: Nats | None = None
    power_from: Probability | None = None
    power_to: Probability | None = None
    expected_days: float | None = None

    @classmethod
    def of(cls, **wished: Any) -> Self:
        """The plan with these fields; raises UserError for a name that is no field, and a value that does not fit."""
        try:
            return cls(**wished)
        except ValidationError as error:
            first = error.errors()[0]
            value = "".join(f"{name}={wished[str(name)]!r}: " for name in first["loc"])
            why = first["msg"].removeprefix("Value error, ")
            raise UserError(
                f"this plan cannot be carried out: {value}{why}. Remedy: leave it out, or see Plan."
            ) from error

    def __post_init__(self) -> None:
        """Check that whole looks fit into the plan."""
        if self.look_every >= self.max_days or self.max_days % self.look_every:
            raise ValueError(f"max_days={self.max_days} must be a larger multiple of look_every={self.look_every}")

    @property
    def rules(self) -> str:
        """What decides, for people."""
        return (
            f"up to {self.max_days} days, a look every {self.look_every}, one-sided alpha {self.alpha:g}, standard "
            f"errors x {self.inflation:g}, non-inferiority margin {self.margin:g} nats per flight, which alone "
            f"{'may promote' if self.non_inferior_counts else 'never promotes'}"
        )

    @property
    def power(self) -> str:
        """What the experiment can be expected to find, for people."""
        if self.power_from is None or self.power_to is None:
            return "power unknown: there are no earlier days"
        found = f"a gain of {self.smallest_gain:g} nats per flight is found"
        if self.non_inferior_counts:
            found = "an equal challenger is found non-inferior, or better by chance,"
        return (
            f"{found} with a power of {self.power_from:.0%} to {self.power_to:.0%}, in about {self.expected_days:.0f} "
            f"days (simulated; {self.history_days} earlier days have an SD of {self.history_sd:.4f}, which leaves this "
            "range)"
        )

    @property
    def non_inferior_counts(self) -> bool:
        """Whether a challenger may be promoted that is only shown to be non-inferior."""
        return self.promote_non_inferior or not self.smallest_gain

    @cached_property
    def bounds(self) -> Bounds:
        """Promotion at the looks; harm and confidence sequence from first_harm_day on, tightest half-way through."""
        days = np.arange(1, self.max_days + 1)
        looks = days[(days % self.look_every == 0) & (days > 1)]
        better = np.full(len(days), np.inf)
        better[looks - 1] = sequential.boundaries(self.alpha, tuple((looks / len(days)).tolist()))
        early = days < self.first_harm_day
        harm = sequential.one_sided_boundary(days, sequential.best_rho(2 * self.alpha, len(days) / 2), self.alpha)
        both = sequential.two_sided_boundary(days, sequential.best_rho(self.alpha, len(days) / 2), self.alpha)
        return Bounds(better, np.where(early, np.inf, harm), np.where(early, np.inf, both))


def make_plan(history: ArrayLike, **wished: Any) -> Plan:
    """A plan whose power is simulated from earlier days' mean paired differences (nats per flight).

    wished: fields of Plan. Fewer than three earlier days predict no power.
    """
    plan, days = Plan.of(**wished), np.asarray(history, dtype=float)
    if len(days) < 3:
        return plan
    sd, free = float(days.std(ddof=1)), len(days) - 1
    low, high = (sd * float(np.sqrt(free / stats.chi2.ppf(at, free))) for at in (0.975, 0.025))
    (least, _), (most, _), (_, length) = (_predict(plan, one) for one in (high, low, sd))
    return replace(plan, history_days=len(days), history_sd=sd, power_from=least, power_to=most, expected_days=length)


def _predict(plan: Plan, sd: float) -> tuple[float, float]:
    """The power of a plan, and its mean length in days; sd: of independent days."""
    noise = np.random.default_rng(0).standard_normal((SIMULATED, plan.max_days))
    days = sd * noise + (0.0 if plan.non_inferior_counts else plan.smallest_gain)
    kinds, ends = decide(plan, days)
    found = kinds == BETTER
    if plan.non_inferior_counts:
        found |= (kinds == UNDECIDED) & non_inferiority(plan, days)
    return float(found.mean()), float(ends.mean())


def decide(plan: Plan, days: Floats) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
    """For each of (runs, n) day means: BETTER, HARM or UNDECIDED, and after how many days: the first crossing."""
    days = days[:, : plan.max_days]
    z, n = sequential.running_statistics(days, plan.inflation).z, days.shape[1]
    better, harm = z >= plan.bounds.better[:n], z <= -plan.bounds.harm[:n]
    first, run = np.argmax(better | harm, axis=1), np.arange(len(z))
    kinds = np.where(better[run, first], BETTER, np.where(harm[run, first], HARM, UNDECIDED))
    return kinds, np.where(kinds == UNDECIDED, n, first + 1)


def lower_bounds(plan: Plan, days: Floats) -> Floats:
    """For each of (runs, n) day means: the one-sided lower confidence bound of the gain, nats per flight, at alpha.

    For a single look, at the plan's end; not valid at several.
    """
    mean, error, _ = (part[:, -1] for part in sequential.running_statistics(days[:, : plan.max_days], plan.inflation))
    return mean - stats.t.isf(plan.alpha, min(days.shape[1], plan.max_days) - 1) * error


def non_inferiority(plan: Plan, days: Floats) -> NDArray[np.bool_]:
    """For each of (runs, n) day means: whether the lower bound shows that the challenger is not worse by the margin.

    The one-sided test of non-inferiority (Piaggio et al., JAMA 2012): a challenger that is worse by exactly the margin
    passes with probability alpha.
    """
    return lower_bounds(plan, days) > -plan.margin


@dataclass(frozen=True)
class Verdict:
    """What was decided, and the figures it was decided on, as they were on `day`; plain values, so JSON holds them.

    day: of the experiment, counting closed days with evidence; flights: of these days. mean: the challenger's gain in
    nats per flight; z: in inflated standard errors. boundary: what z must reach at this day's look, or else the next.
    lower, upper: the two-sided confidence sequence of the gain; most: the one-sided one, whose upper bound shows harm
    below 0; None before first_harm_day. champion_arm, challenger_arm: flights of the live split on these days. least:
    the one-sided lower bound of the gain at the plan's last day, if nothing was decided before, and non_inferior:
    whether it is above minus the margin.
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
            case "promote" if not self.non_inferior:
                return f"better: {found}, above the boundary of {self.boundary:.2f}"
            case "promote" | "inconclusive":
                shown = "non-inferior" if self.non_inferior else "non-inferiority not shown either"
                first = f"{shown}, which is enough" if self.kind == "promote" else f"not proven, {shown}"
                return (
                    f"{first}: {found}, below the boundary of {self.boundary:.2f}; one-sided lower bound "
                    f"{self.least:+.4f}, margin {plan.margin:g}"
                )
            case "blocked":
                p = sequential.sample_ratio(self.champion_arm, self.challenger_arm, plan.share)
                seen = f"{self.challenger_arm:,} of {self.champion_arm + self.challenger_arm:,} flights"
                return f"sample-ratio mismatch: {seen} where {plan.share:.0%} was planned (p {p:.1g})"
            case "reject":
                worse = self.most is not None and self.most < 0
                limit = "0" if worse else f"the smallest useful gain, {plan.smallest_gain:g}"
                word = "worse" if worse else "too small"
                return f"{word}: {found}; upper confidence bound {self.most:+.4f}, below {limit} (valid on every day)"


def judge(plan: Plan, closed: pd.DataFrame) -> Verdict:
    """The verdict after these closed days: `days_of` an experiment.

    Days without evidence (no flight with both scores and a label) do not count. The sample ratio is that of the days
    that the verdict was found on: later days neither block nor release it; in shadow, both arms are empty.
    """
    days = closed[closed["flights"] > 0].head(plan.max_days)
    gains = days["mean_loss_difference"].to_numpy(float)
    if len(days) < 2:
        return Verdict("running", len(days), int(days["flights"].sum()))
    kinds, ends = decide(plan, gains[None])
    end = int(ends[0])
    path = trajectory(plan, days, end)
    ahead = plan.bounds.better[end - 1 :]
    lower, upper, most = (
        float(part[-1]) if np.isfinite(part[-1]) else None for part in (path.lower, path.upper, path.most)
    )
    evidence = (closed["flights"] > 0).astype(int)
    found_on = closed[evidence.cumsum() - evidence < end]
    champion_arm, challenger_arm = (int(found_on[f"{arm}_arm"].sum()) for arm in ("champion", "challenger"))
    mismatch = sequential.sample_ratio(champion_arm, challenger_arm, plan.share) < MISMATCH
    over = kinds[0] == UNDECIDED and end == plan.max_days
    least = float(lower_bounds(plan, gains[None])[0]) if over else None
    non_inferior = least is not None and least > -plan.margin
    kind: Kind = "blocked" if mismatch else _kind(plan, path, int(kinds[0]), non_inferior=non_inferior)
    return Verdict(
        kind,
        day=end,
        flights=int(days["flights"].iloc[:end].sum()),
        mean=float(path.mean[-1]),
        z=float(path.z[-1]),
        boundary=float(ahead[np.isfinite(ahead)][0]),
        lower=lower,
        upper=upper,
        most=most,
        champion_arm=champion_arm,
        challenger_arm=challenger_arm,
        least=least,
        non_inferior=non_inferior,
    )


def _kind(plan: Plan, path: "Trajectory", decided: int, *, non_inferior: bool) -> Kind:
    if decided == BETTER:
        return "promote"
    if decided == HARM:
        return "reject"
    if path.days[-1] < plan.max_days:
        return "running"
    if non_inferior and plan.promote_non_inferior:
        return "promote"
    return "reject" if path.most[-1] < plan.smallest_gain else "inconclusive"


class Trajectory(NamedTuple):
    """The gain after 1, 2, … days: nats per flight. needed: what the mean must reach, infinite between the looks."""

    days: Floats
    mean: Floats
    z: Floats
    lower: Floats
    upper: Floats
    needed: Floats
    most: Floats  # the upper bound of the one-sided confidence sequence


def trajectory(plan: Plan, days: pd.DataFrame, end: int | None = None) -> Trajectory:
    """How the evidence grew, day by day, up to the last planned one or to `end`; days as `judge` has them."""
    gains = days.loc[days["flights"] > 0, "mean_loss_difference"].to_numpy(float)[: plan.max_days][:end]
    mean, error, z = sequential.running_statistics(gains, plan.inflation)
    needed, harm, both = (_in_nats(bound[: len(gains)], error) for bound in plan.bounds)
    return Trajectory(np.arange(1.0, len(gains) + 1), mean, z, mean - both, mean + both, needed, mean + harm)


def _in_nats(bound: Floats, error: Floats) -> Floats:
    """How far the mean is from 0 when z is at the bound; infinite where the bound is."""
    far = sequential.t_of_z(bound, np.maximum(np.arange(1, len(error) + 1), 2))
    return np.multiply(far, error, out=np.full(len(error), np.inf), where=np.isfinite(far))
