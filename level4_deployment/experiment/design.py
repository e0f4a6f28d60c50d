"""The plan of an experiment, fixed before its first day: when to look, what to reach, how likely it is to succeed."""

from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, Literal, NamedTuple, Self, get_type_hints

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.signal import lfilter

from level4_deployment.experiment import sequential
from level4_deployment.experiment.sequential import Floats
from shared.errors import UserError

BETTER, HARM, UNDECIDED = 1, -1, 0
FEWEST_TO_CORRELATE = 28  # days: in fewer, a correlation from one day to the next is not seen
SIMULATED, WARM_UP = 4000, 50


class Bounds(NamedTuple):
    """What z must reach after 1, 2, … units; infinite where nothing is decided. harm is one-sided, both two-sided."""

    better: Floats
    harm: Floats
    both: Floats


@dataclass(frozen=True)
class Plan:
    """What an experiment keeps to; plain values, so JSON holds all of it. Raises UserError for what cannot be kept to.

    alpha: the chance to promote a challenger that is no better; the same again to reject one, as harmful, that is no
    worse. smallest_gain: worth having, in nats per flight. share: of flights that the challenger answers in the live
    split. unit: what counts as one independent observation. predicted_power and expected_days: for the smallest gain,
    simulated from the SD and the correlation of `history_days` days; None without a history.
    """

    alpha: float = 0.05
    max_days: int = 28
    look_every: int = 7
    first_harm_day: int = 7
    smallest_gain: float = 0.005
    share: float = 0.1
    unit: Literal["day", "week"] = "day"
    history_days: int = 0
    history_sd: float | None = None
    history_lag_one: float | None = None
    predicted_power: float | None = None
    expected_days: float | None = None

    @classmethod
    def of(cls, **wished: Any) -> Self:
        """The plan with these fields; raises UserError for names that it does not have."""
        if unknown := sorted(wished.keys() - {field.name for field in fields(cls)}):
            known = ", ".join(field.name for field in fields(cls))
            raise UserError(f"a plan has no {', '.join(unknown)}. Remedy: its fields are {known}.")
        return cls(**wished)

    def __post_init__(self) -> None:
        """Check that the parts are of their types, and fit together."""
        for name, kind in get_type_hints(Plan).items():
            value, allowed = getattr(self, name), str if name == "unit" else kind if kind is int else kind | int
            if not isinstance(value, allowed) or isinstance(value, bool):
                shown = getattr(kind, "__name__", kind)
                raise UserError(
                    f"plan: {name}={value!r} is not of its type, {shown}. Remedy: leave it out, or see Plan."
                )
        known = self.unit in ("day", "week") and self.look_every > 0 < self.max_days
        whole = known and self.look_every % self.size == 0 == self.max_days % self.look_every
        if not (whole and 0 < self.alpha < 0.5 and 0 < self.share < 1 and self.max_days > self.size):
            raise UserError(
                f"this plan cannot be kept to: {vars(self)}. Remedy: alpha below 0.5, share between 0 and 1, max_days "
                "a multiple of look_every, unit day or week; by the week both are multiples of 7."
            )

    def __str__(self) -> str:
        """For people."""
        plan = f"up to {self.max_days} days, by the {self.unit}, a look every {self.look_every}, alpha {self.alpha:g}"
        if self.predicted_power is None:
            return f"{plan}; power unknown, there is no history to tell it from"
        found = "no gain is asked for; one that is as good is taken for better with a probability of"
        if self.smallest_gain:
            found = f"a gain of {self.smallest_gain:g} nats per flight is found with a power of"
        return (
            f"{plan}; {found} {self.predicted_power:.0%}, in {self.expected_days:.0f} days on average "
            f"(by {self.history_days} earlier days: SD {self.history_sd:.4f}, "
            f"lag-1 correlation {self.history_lag_one:+.2f})"
        )

    @property
    def size(self) -> int:
        """Days in a unit."""
        return 7 if self.unit == "week" else 1

    @cached_property
    def bounds(self) -> Bounds:
        """Promotion at the looks, harm and confidence sequence from first_harm_day on, tightest half-way through."""
        units = np.arange(1, self.max_days // self.size + 1)
        looks = units[(units * self.size % self.look_every == 0) & (units > 1)]
        better = np.full(len(units), np.inf)
        better[looks - 1] = sequential.boundaries(self.alpha, tuple((looks / len(units)).tolist()))
        early = units * self.size < self.first_harm_day
        harm = sequential.one_sided_boundary(units, sequential.best_rho(2 * self.alpha, len(units) / 2), self.alpha)
        both = sequential.two_sided_boundary(units, sequential.best_rho(self.alpha, len(units) / 2), self.alpha)
        return Bounds(better, np.where(early, np.inf, harm), np.where(early, np.inf, both))

    def units(self, days: Floats) -> Floats:
        """The units of (..., n) day means; what comes after the last planned day is left out."""
        return (sequential.weekly_means(days) if self.unit == "week" else days)[..., : self.max_days // self.size]


def decide(plan: Plan, units: Floats) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
    """For each of (runs, n) units: BETTER, HARM or UNDECIDED, and after how many units; what comes first decides."""
    z, n = sequential.running_statistics(units).z, units.shape[1]
    better, harm = z >= plan.bounds.better[:n], z <= -plan.bounds.harm[:n]
    first, run = np.argmax(better | harm, axis=1), np.arange(len(z))
    kinds = np.where(better[run, first], BETTER, np.where(harm[run, first], HARM, UNDECIDED))
    return kinds, np.where(kinds == UNDECIDED, n, first + 1)


def make_plan(history: ArrayLike, **wished: Any) -> Plan:
    """Plan from earlier days' mean paired differences (nats per flight), and simulate what lies ahead.

    wished: fields of Plan. Unless they say otherwise, weeks are the units, of 56 days, where a day is correlated with
    the next (p < 0.05, in four weeks or more).
    """
    days = np.asarray(history, dtype=float)
    if not np.isfinite(days).all():
        wrong = int((~np.isfinite(days)).sum())
        raise UserError(f"history: {wrong} of {len(days)} differences are no finite numbers. Remedy: leave them out.")
    if len(days) < 3:
        return Plan.of(**wished)
    correlation, p = sequential.lag_one_correlation(days)
    correlated = len(days) >= FEWEST_TO_CORRELATE and p < 0.05
    chosen: dict[str, Any] = {"unit": "week", "max_days": 56} if correlated else {}
    plan = Plan.of(**chosen | wished)
    sd, r = float(days.std(ddof=1)), correlation if correlated else 0.0
    noise = np.random.default_rng(0).standard_normal((SIMULATED, WARM_UP + plan.max_days)) * np.sqrt(1 - r**2)
    ahead = plan.smallest_gain + sd * lfilter([1.0], [1.0, -r], noise)[:, WARM_UP:]  # what a day has of the day before
    kinds, ends = decide(plan, plan.units(ahead))
    return replace(
        plan,
        history_days=len(days),
        history_sd=sd,
        history_lag_one=correlation,
        predicted_power=float((kinds == BETTER).mean()),
        expected_days=float(ends.mean() * plan.size),
    )
