"""`make simulate-ab`: how often each statistical test is wrong, how often right, and how long it takes.

The simulation draws experiments from the real year, so that the true gain is known. It does so for pairs of successive
models, each pair in both orientations: as it was, and mirrored, where the older model is the challenger.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from level2_devops.features import features
from level2_devops.model import fit, predict_features
from level3_training_pipeline.pipeline import tune
from level3_training_pipeline.pipeline.data import sample
from level4_deployment.benchmarks.real_days import Days, real_blocks, real_days, symmetric_days
from level4_deployment.config import configure
from level4_deployment.experiment import guardrails, sequential
from level4_deployment.experiment.design import BETTER, HARM, MISMATCH, UNDECIDED, Plan, decide, non_inferiority
from level4_deployment.experiment.sequential import Floats
from shared.console import bar, console, headline, show_table
from shared.data.flights import load_flights
from shared.data.split import history
from shared.pictures import save
from shared.score import log_losses
from shared.settings import NEW_YORK

# Days as of which models are trained, and how many of these days lie between the two models of a pair.
MODELS = [f"2013-{month:02}-01" for month in range(2, 12)], 1
OTHERS = [str(day.date()) for day in pd.date_range("2013-02-18", "2013-10-28", freq="14D")], 3  # as level 5 retrains
REPLAYS = 4_000  # of each pair and orientation
EFFECT = 0.5  # SDs of a pair's days, added to every flight to measure power
PLAN = Plan()
NAIVE = Plan(max_days=28, inflation=1.0)  # as if days were independent
SINGLE_LOOK = float(stats.norm.isf(PLAN.alpha))  # the z that a test with a single look needs
OURS = "as planned"
TRIALS, MARGINS = (7, 14, 28, 56), (0.005, 0.01)  # of tests of non-inferiority: days, and nats per flight
WORSE = (0.0, 0.005, 0.01, 0.02)  # nats per flight that a challenger truly loses
BATCHES, BURST = 5_000, 5  # of a challenger's record; batches that fail in a row

Method = Callable[[Days], tuple[Any, Any]]  # for each replay: BETTER, HARM or UNDECIDED, and after how many days


def platform(plan: Plan) -> Method:
    """The platform's test: weekly looks for promotion, and from day 7 on a daily one for harm."""
    return lambda days: decide(plan, days.mean)


def by_week(days: Days) -> tuple[Any, Any]:
    """The platform's test on means of weeks, as if these were independent."""
    weeks = days.mean.reshape(len(days.mean), -1, 7).mean(axis=2)
    kinds, ends = decide(Plan(max_days=weeks.shape[1], look_every=1, first_harm_day=2, inflation=1.0), weeks)
    return kinds, ends * 7


def damped(days: Days) -> tuple[Any, Any]:
    """The platform's test on gains beyond three median ones drawn in (by tanh), so that no single day decides."""
    typical = 3 * np.median(np.abs(days.mean), axis=1, keepdims=True)
    return decide(PLAN, typical * np.tanh(days.mean / typical))


def skew_adjusted(days: Days) -> tuple[Any, Any]:
    """Weekly looks at Hall's transformation of t (J. R. Stat. Soc. B 1992), which removes the skew it estimates."""
    z = np.full((len(days.mean), PLAN.max_days), -np.inf)
    for n in range(7, z.shape[1] + 1, 7):
        gain = days.mean[:, :n]
        ratio, skew = gain.mean(axis=1) / gain.std(axis=1, ddof=1) / PLAN.inflation, stats.skew(gain, axis=1)
        t = np.sqrt(n) * (ratio + skew * ratio**2 / 3 + skew**2 * ratio**3 / 27 + skew / (6 * n))
        z[:, n - 1] = stats.norm.isf(stats.t.sf(t, n - 1))
    return first_crossing(PLAN.bounds.better, lambda _: z)(days)


def first_crossing(bound: Floats, z_of: Callable[[Days], Floats]) -> Method:
    """Promotes on the first day on which z reaches that day's bound."""

    def method(days: Days) -> tuple[Any, Any]:
        crossed = z_of(days.at(np.s_[:, : len(bound)])) >= bound
        found = crossed.any(axis=1)
        return np.where(found, BETTER, UNDECIDED), np.where(found, crossed.argmax(axis=1) + 1, len(bound))

    return method


def z_by_day(days: Days) -> Floats:
    """Z of the day means, as if days were independent."""
    return sequential.running_statistics(days.mean).z


def z_by_flight(days: Days) -> Floats:
    """Z as if flights were independent of each other."""
    total, squares, n = (np.cumsum(part, axis=1) for part in (days.total, days.squares, days.flights))
    return total / np.sqrt(n * (squares - total**2 / n) / (n - 1))


METHODS: dict[str, Method] = {
    OURS: platform(PLAN),
    "SE x 1.29": platform(replace(PLAN, inflation=1.29)),
    "SE x 1": platform(replace(PLAN, inflation=1.0)),
    "28 days": platform(replace(PLAN, max_days=28)),
    "28 days, SE x 1": platform(NAIVE),
    "8 weeks, SE x 1": by_week,
    "skew-adjusted": skew_adjusted,
    "damped": damped,
    "one look, SE x 1": first_crossing(np.append(np.full(NAIVE.max_days - 1, np.inf), SINGLE_LOOK), z_by_day),
    "daily peeking": first_crossing(np.where(np.isinf(NAIVE.bounds.harm), np.inf, SINGLE_LOOK), z_by_day),
    "by flight": first_crossing(NAIVE.bounds.better, z_by_flight),
}


def equal_models(pairs: dict[str, Days]) -> Iterator[tuple[str, bool, Days, np.random.Generator]]:
    """Each pair as it was and mirrored: its name, whether mirrored, its centred days, and random numbers of its own."""
    for pair, mirrored in product(pairs, (False, True)):
        days = pairs[pair].centred().replayed(-1.0 if mirrored else 1.0, 0.0)
        yield pair, mirrored, days, np.random.default_rng([0, *pair.encode(), mirrored])


def simulate(pairs: dict[str, Days], methods: Iterable[str] = METHODS) -> pd.DataFrame:
    """The rates of every method, as shares of REPLAYS, by `method`, `pair` and `mirrored`.

    symmetric, false: promotions where neither model is better, of symmetric independent days, and of real blocks.
    harm: rejections as harmful, of the same blocks. power: promotions where EFFECT was added to them. days: until then.
    """
    rows, size = [], (REPLAYS, PLAN.max_days)
    with bar(f"{2 * len(pairs) * REPLAYS:,} experiments", 2 * len(pairs)) as advance:
        for pair, mirrored, same, rng in equal_models(pairs):
            real = pairs[pair]
            symmetric, blocks = symmetric_days(real, size, rng), real_blocks(same, size, rng)
            better = blocks.replayed(1.0, EFFECT * float(real.mean.std(ddof=1)))
            for name in methods:
                method = METHODS[name]
                kinds, (found, ends) = method(blocks)[0], method(better)
                rates = [(method(symmetric)[0] == BETTER).mean(), (kinds == BETTER).mean(), (kinds == HARM).mean()]
                rows.append([name, pair, mirrored, *rates, (found == BETTER).mean(), ends.mean()])
            advance()
    return pd.DataFrame(rows, columns=["method", "pair", "mirrored", "symmetric", "false", "harm", "power", "days"])


def non_inferior_rates(pairs: dict[str, Days]) -> pd.DataFrame:
    """How often a challenger `passed`, by `rule`, `days`, `worse` (what it truly loses, nats), `pair` and `mirrored`.

    rule: the test of non-inferiority by its margin; "gain > 0": a mean gain above 0, which is no test.
    """
    rows = []
    for pair, mirrored, same, rng in equal_models(pairs):
        blocks = real_blocks(same, (REPLAYS, max(TRIALS)), rng).mean
        for days, worse in product(TRIALS, WORSE):
            gains = blocks[:, :days] - worse
            plans = [Plan(max_days=days, look_every=1, margin=margin) for margin in MARGINS]
            passed = {f"margin {plan.margin:g}": non_inferiority(plan, gains).mean() for plan in plans}
            passed["gain > 0"] = (gains.mean(axis=1) > 0).mean()
            rows += [[rule, days, worse, pair, mirrored, rate] for rule, rate in passed.items()]
    return pd.DataFrame(rows, columns=["rule", "days", "worse", "pair", "mirrored", "passed"])


def burst_rates(records: int = 500) -> dict[int, float]:
    """By batches in a trial: how often a guardrail ever stops a challenger that fails as often as is tolerated.

    The batches fail in bursts of BURST; the record has BATCHES of them, and is looked at after each trial.
    """
    rng, rates = np.random.default_rng(0), {}
    starts = rng.random((records, BATCHES)) < guardrails.FAILED[0] / BURST
    failed = np.stack([np.convolve(one, np.ones(BURST))[:BATCHES] > 0 for one in starts])
    for trial in (1, guardrails.BLOCK):
        shares = failed.reshape(records, -1, trial).mean(axis=2)
        rates[trial] = float(np.mean([_ever_stopped(one) for one in shares]))
    return rates


def _ever_stopped(shares: Floats) -> bool:
    return any(  # where no trial with events was added, nothing can cross
        sequential.guardrail(shares[:end][shares[:end] > 0], end, *guardrails.FAILED, guardrails.ALPHA)
        for end in (np.flatnonzero(shares) + 1).tolist()
    )


def show_pairs(pairs: dict[str, Days]) -> None:
    """Print statistics of each pair's days."""
    rows = []
    for pair, real in pairs.items():
        gain = real.mean
        correlation = stats.pearsonr(gain[:-1], gain[1:]).statistic  # of each day with the next
        figures = f"{gain.mean():+.4f}", f"{gain.std(ddof=1):.4f}", f"{stats.skew(gain):+.1f}", f"{correlation:+.2f}"
        rows.append([pair, str(len(gain)), f"{real.flights.sum():,.0f}", *figures])
    title = "Each model against the one of a month before: gain by day, nats per flight"
    show_table(title, ["as of", "days", "flights", "mean", "SD", "skew", "lag-1\ncorr."], rows)


def show_rates(table: pd.DataFrame) -> None:
    """Print the rates of every method: mean over pairs and orientations, and the worst."""
    rows = []
    for name, of_method in table.groupby("method", sort=False):
        mean, worst = of_method.mean(numeric_only=True), of_method.max(numeric_only=True)
        rates = [f"{mean['symmetric']:.1%}"] + [f"{mean[key]:.1%} / {worst[key]:.1%}" for key in ("false", "harm")]
        power = f"{mean['power']:.0%} / {of_method['power'].min():.0%}"
        rows.append([str(name), *rates, power, f"{mean['days']:.0f}"])
    columns = ["Method", "signs\nflipped", "false\npromotion", "false\nharm", "power", "days"]
    pairs = f"{table['pair'].nunique()} pairs in both orientations"
    show_table(f"{pairs}, {REPLAYS:,} experiments each, one-sided alpha {PLAN.alpha:g}", columns, rows)
    ours = table[table["method"] == OURS]
    wrong = round(float(ours["false"].max()) * REPLAYS)
    bound = stats.binomtest(wrong, REPLAYS, alternative="less").proportion_ci(0.95).high
    console.print(
        f"  {OURS}: O'Brien-Fleming boundaries at weekly looks, {PLAN.max_days} days, standard errors x "
        f"{PLAN.inflation:g}.\n  The other methods differ from it by what their name says; the last three have 28 days "
        "and SE x 1.\n"
        "  Signs flipped: false promotions where each day's sign is drawn by a coin. Such days are symmetric and\n"
        "  independent; real ones are neither. All other columns: the mean gain is removed, and whole weeks are\n"
        f"  drawn. Power, and days until then: for a gain of {EFFECT:g} SDs of a pair's days. Mean / worst pair.\n"
        f"  Monte Carlo error: the worst pair's false promotion is at most {bound:.1%} (95% sure) on these very days."
    )


def show_others(table: pd.DataFrame) -> None:
    """Print the rates on pairs of models that the plan was not chosen on."""
    mean, worst = table.mean(numeric_only=True), table.max(numeric_only=True)
    console.print(
        f"  {table['pair'].nunique()} other pairs, of models trained six weeks apart, which the plan was not chosen "
        f"on:\n  false promotion {mean['false']:.1%} (worst {worst['false']:.1%}), false harm {mean['harm']:.1%} "
        f"(worst {worst['harm']:.1%}), power {mean['power']:.0%} (least {table['power'].min():.0%})."
    )


def show_non_inferior(table: pd.DataFrame) -> None:
    """Print how often challengers pass the test of non-inferiority, and how often their mean gain is above 0."""
    rows = []
    for rule, of_rule in table.groupby("rule", sort=False):
        for days, of_days in of_rule.groupby("days"):
            found = [of_days.loc[of_days["worse"] == worse, "passed"] for worse in WORSE]
            cells = [
                f"{one.mean():.0%} / {one.max() if worse else one.min():.0%}"
                for worse, one in zip(WORSE, found, strict=True)
            ]
            rows.append([str(rule), str(days), *cells])
    show_table(
        f"Promoted as non-inferior, one-sided alpha {PLAN.alpha:g}, standard errors x {PLAN.inflation:g}",
        ["rule", "days", "truly\nequal", *(f"worse\nby {worse:g}" for worse in WORSE[1:])],
        rows,
    )
    console.print(
        "  Real blocks as above. Mean over the pairs / worst pair (of equal challengers: the least). Nats per flight.\n"
        "  Gain > 0: a rule without a margin, for comparison."
    )


def show_protection() -> None:
    """Print the error rates of the sample-ratio test and of a guardrail."""
    rng, share = np.random.default_rng(0), PLAN.share
    challenger = np.cumsum(rng.binomial(900, share, (REPLAYS, PLAN.max_days)), axis=1)
    p = sequential.sample_ratio(900 * np.arange(1, PLAN.max_days + 1) - challenger, challenger, share)
    blocked = (p < MISMATCH).any(axis=1).mean()
    needed = [(share, sequential.flights_to_detect_loss(0.05, share, MISMATCH)) for share in (0.1, 0.3, 0.5)]
    bursts = burst_rates()
    console.print(
        f"Sample ratio, looked at on {PLAN.max_days} days of 900 flights: {blocked:.2%} of {REPLAYS:,} sound splits "
        f"are\never blocked (planned: at most {MISMATCH:.1%}). It detects a 5% loss of the challenger's rows with\n"
        "95% power from so many flights on: "
        + ", ".join(f"{flights:,} at a share of {share:g}" for share, flights in needed)
        + f".\nGuardrail: of 500 challengers that fail on {guardrails.FAILED[0]:.0%} of {BATCHES:,} batches, in bursts "
        f"of {BURST},\nit stops {bursts[guardrails.BLOCK]:.1%} ({bursts[1]:.1%} if each batch were a trial of its own)."
    )


def main() -> None:
    """Train models as of many days, simulate A/B tests of each with an earlier one, and print the error rates."""
    settings = configure()
    flights = load_flights(settings)
    pairs, others = successive_pairs(flights, *MODELS), successive_pairs(flights, *OTHERS)
    headline("How often the tests err on real days")
    show_pairs(pairs)
    rates = simulate(pairs)
    show_rates(rates)
    show_others(simulate(others, methods=(OURS,)))
    show_non_inferior(non_inferior_rates(pairs))
    show_protection()
    from level4_deployment.experiment.plots import calibration_plot

    picture = save(calibration_plot(rates, PLAN.alpha), settings.level("level4") / "calibration.png")
    console.print(f"  drawn: {picture}")


def successive_pairs(flights: pd.DataFrame, days: list[str], apart: int) -> dict[str, Days]:
    """By the day of the newer model: the days from then to the end of the year, on which both are compared."""
    labelled = flights[flights["late"].notna()]
    table, loss = features(labelled), []  # of each model, the loss of every flight; NaN before its day
    with bar(f"Train {len(days)} models, as of {days[0]} to {days[-1]}", len(days)) as advance:
        for now in (pd.Timestamp(day, tz=NEW_YORK) for day in days):
            model = fit(sample(history(flights, now), now), **tune.START)
            since = (labelled["predicted_at"] >= now).to_numpy()
            loss.append(np.full(len(table), np.nan))
            loss[-1][since] = log_losses(labelled["late"][since], predict_features(model, table[since]))
            advance()
    pairs = {}
    for day, champion, challenger in zip(days[apart:], loss, loss[apart:], strict=False):
        both = ~np.isnan(challenger)
        pairs[day] = real_days(labelled["flight_id"][both], (champion - challenger)[both])
    return pairs
