"""`make simulate-ab`: how often each statistical test is wrong, how often right, and how long it takes.

The simulation resamples the real year. In an A/A replay, a stretch of real daily loss differences, each day's sign is
drawn by a coin: neither model is better, and heavy tails, storms and the number of flights stay as they were.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from level2_devops.model import fit, predict
from level3_training_pipeline.pipeline import tune
from level4_deployment.config import configure
from level4_deployment.experiment import sequential
from level4_deployment.experiment.design import BETTER, MISMATCH, Plan, decide
from level4_deployment.experiment.sequential import Floats
from shared.console import bar, console, headline, show_table, step
from shared.data.flights import load_flights
from shared.data.split import future, history
from shared.score import log_losses
from shared.settings import NEW_YORK

PAIRS = [("2013-03-01", "2013-04-01"), ("2013-04-01", "2013-05-01")]  # trained as of; compared from the later day on
REPLAYS = 10_000
EFFECT = 0.01  # nats per flight, added to every flight to measure power
DAILY, WEEKLY = Plan(), Plan(unit="week", max_days=56)  # by the day, as the platform plans; by the week, for comparison
SINGLE_LOOK = float(stats.norm.isf(DAILY.alpha))  # the z that a test with a single look needs
OURS = "sequential, days"


@dataclass(frozen=True)
class Days:
    """By day: flights, and sums over them of the loss difference and of its square; (days,) or (replays, days)."""

    total: Floats
    squares: Floats
    flights: Floats

    @property
    def mean(self) -> Floats:
        """The day means, which the paired test compares."""
        return self.total / self.flights

    def at(self, where: Any) -> "Days":
        """A part of the days, by a NumPy index."""
        return Days(self.total[where], self.squares[where], self.flights[where])

    def replayed(self, signs: Floats, effect: float) -> "Days":
        """Every flight's difference times its day's sign, plus the effect."""
        total = self.total * signs
        squares = self.squares + 2 * effect * total + effect**2 * self.flights
        return Days(total + effect * self.flights, squares, self.flights)


def real_days(later: pd.DataFrame, champion: Floats, challenger: Floats) -> Days:
    """The days of these flights, from both models' probabilities; above 0 the challenger is better."""
    gain = log_losses(later["late"], champion) - log_losses(later["late"], challenger)
    table = pd.DataFrame({"total": gain, "squares": gain**2, "flights": 1.0})
    sums = table.groupby(later["flight_id"].str[:10].to_numpy()).sum()
    return Days(*(sums[name].to_numpy() for name in ("total", "squares", "flights")))


Method = Callable[[Days], tuple[Any, Any]]  # for each replay: promoted or not, and after how many days it ended


def platform(plan: Plan) -> Method:
    """The platform's test: weekly looks for promotion, and from day 7 on a daily one for harm."""

    def method(days: Days) -> tuple[Any, Any]:
        kinds, ends = decide(plan, plan.units(days.mean))
        return kinds == BETTER, ends * plan.size

    return method


def first_crossing(bound: Floats, z_of: Callable[[Days], Floats]) -> Method:
    """Promotes on the first day on which z reaches that day's bound."""

    def method(days: Days) -> tuple[Any, Any]:
        crossed = z_of(days.at(np.s_[:, : len(bound)])) >= bound
        found = crossed.any(axis=1)
        return found, np.where(found, crossed.argmax(axis=1) + 1, len(bound))

    return method


def z_by_day(days: Days) -> Floats:
    """Z of the day means."""
    return sequential.running_statistics(days.mean).z


def z_by_flight(days: Days) -> Floats:
    """Z as if flights were independent of each other."""
    total, squares, n = (np.cumsum(part, axis=1) for part in (days.total, days.squares, days.flights))
    return total / np.sqrt(n * (squares - total**2 / n) / (n - 1))


METHODS = {
    "fixed horizon": first_crossing(np.append(np.full(DAILY.max_days - 1, np.inf), SINGLE_LOOK), z_by_day),
    OURS: platform(DAILY),
    "sequential, weeks": platform(WEEKLY),
    "confidence sequence": first_crossing(DAILY.bounds.harm, z_by_day),  # one-sided: harm's mirror image
    "naive: daily peeking": first_crossing(np.where(np.isinf(DAILY.bounds.harm), np.inf, SINGLE_LOOK), z_by_day),
    "naive: flights": first_crossing(DAILY.bounds.better, z_by_flight),
}


def simulate(real: Days, seed: int = 0) -> pd.DataFrame:
    """Every method on the same replays, rates as shares of REPLAYS.

    false: promotions where neither model is better. bound: its 95% upper confidence bound (Clopper and Pearson).
    weeks: the same where whole weeks keep their sign and only the mean gain is removed, so that a day stays correlated
    with the next. days: how long a replay with EFFECT lasted, of at most `horizon`.
    """
    rng = np.random.default_rng(seed)
    windows = rng.integers(0, len(real.total) - WEEKLY.max_days + 1, (REPLAYS, 1)) + np.arange(WEEKLY.max_days)
    signs = rng.choice([-1.0, 1.0], windows.shape)
    blocks = (np.arange(WEEKLY.max_days) + rng.integers(0, 7, (REPLAYS, 1))) // 7
    week_signs = np.take_along_axis(rng.choice([-1.0, 1.0], (REPLAYS, blocks.max() + 1)), blocks, axis=1)
    centred = real.replayed(np.ones(len(real.total)), -float(real.mean.mean()))
    same, weeks = real.at(windows).replayed(signs, 0.0), centred.at(windows).replayed(week_signs, 0.0)
    better = real.at(windows).replayed(signs, EFFECT)
    rows = {}
    with bar(f"{REPLAYS:,} replays", len(METHODS)) as advance:
        for name, method in METHODS.items():
            false = int(method(same)[0].sum())
            bound = stats.binomtest(false, REPLAYS, alternative="less").proportion_ci(0.95).high
            found, ends = method(better)
            horizon = (WEEKLY if "weeks" in name else DAILY).max_days
            rows[name] = [false / REPLAYS, bound, method(weeks)[0].mean(), found.mean(), ends.mean(), horizon]
            advance()
    return pd.DataFrame.from_dict(rows, orient="index", columns=["false", "bound", "weeks", "power", "days", "horizon"])


def show(table: pd.DataFrame, real: Days) -> None:
    """Print the table, and statistics of the daily differences."""
    gain, (correlation, p) = real.mean, sequential.lag_one_correlation(real.mean)
    spread = 7 * sequential.weekly_means(gain).var(ddof=1) / gain.var(ddof=1)
    console.print(
        f"  {len(gain)} days, {real.flights.sum():,.0f} flights: mean gain {gain.mean():+.4f} nats per flight, SD of "
        f"days {gain.std(ddof=1):.4f}.\n  Lag-1 correlation of days {correlation:+.2f} (p {p:.2g}); the variance of "
        f"weeks is {spread:.1f} times that of seven independent days."
    )
    rows = []
    for name, row in table.iterrows():
        rates = [f"{row[key]:.1%}" for key in ("false", "bound", "weeks", "power")]
        rows.append([str(name), *rates, f"{row['days']:.1f}", f"{row['horizon'] - row['days']:.1f}"])
    errors = ["false\npositive\nrate", "95%\nupper\nbound", "days\ncorrelated"]  # within 80 columns
    show_table(
        f"{REPLAYS:,} replays of {DAILY.max_days} days (weeks: {WEEKLY.max_days}), alpha {DAILY.alpha:g}",
        ["Method", *errors, "power", "days", "days\nsaved"],
        rows,
    )
    held = bool((table["bound"] <= DAILY.alpha + 0.01)[OURS])
    console.print(
        "  Sequential: O'Brien-Fleming boundaries at weekly looks, on means of days, or of weeks.\n"
        "  False positive: a promotion where neither model is better.\n"
        "  Days correlated: the false positive rate where whole weeks keep their sign.\n"
        f"  Power, days and days saved: for a gain of {EFFECT:g} nats per flight.\n"
        f"  At most {DAILY.alpha + 0.01:.0%} of false promotions by {OURS}: {'held' if held else 'NOT held'}."
    )


def main() -> None:
    """Fit three models, and simulate A/B tests of each pair of neighbours."""
    settings = configure()
    flights = load_flights(settings)
    begins = {day: pd.Timestamp(day, tz=NEW_YORK) for pair in PAIRS for day in pair}
    models, tables = {}, {}
    with bar("Train as of " + ", ".join(begins), len(begins)) as advance:
        for day, begin in begins.items():
            models[day] = fit(history(flights, begin), **tune.START)
            advance()
    for champion, challenger in PAIRS:
        headline(f"Champion as of {champion}, challenger as of {challenger}, compared from {challenger} on")
        later = future(flights, begins[challenger])
        with step(f"Predict {len(later):,} flights"):
            real = real_days(later, *(predict(models[day], later) for day in (champion, challenger)))
        table = tables[f"{champion} and {challenger}"] = simulate(real)
        show(table, real)
    needed = [(share, sequential.flights_to_detect_loss(0.05, share, MISMATCH)) for share in (0.1, 0.3, 0.5)]
    console.print(
        "The sample-ratio test detects a 5% loss of the challenger's rows with 95% power\nfrom so many flights on: "
        + ", ".join(f"{flights:,} at a share of {share:g}" for share, flights in needed)
    )
    home = settings.level("level4")
    from level4_deployment.experiment.plots import calibration_plot

    calibration_plot(tables, DAILY.alpha).savefig(home / "calibration.png")
    console.print(f"  drawn: {home / 'calibration.png'}")
