"""The policy: one decision for each day. Pure and total: equal results and equal state give an equal decision.

Monitor precedence: the first step that applies decides, because bad data makes every later one unreliable.

1. contract, volume: the inputs are wrong. Stop the experiment, train nothing.
2. severe_regression: a new champion is far worse than the previous one. Roll back.
3. labels: the labels are wrong or missing. Train nothing, promote nothing, stop the experiment.
4. regression_vs_previous: a new champion is worse than the previous one. Roll back.
5. an experiment has ended: promote its winner, or a challenger that was not worse.
6. calibration, calibration_slope, skill: the champion predicts badly. Retrain, within the limits; also when the days
   with labels have grown by the planned share since the last training.
7. drift: notify.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Literal

from level5_monitoring.monitors import performance
from level5_monitoring.monitors.monitor_result import Monitor, MonitorResult

HISTORY_BEGINS = "2013-01-01"  # the oldest flights that a training learns from
BUDGET, PERIOD = 7, 274  # retrainings in so many days (nine months); the first training does not count
# A fault may pass a monitor for some days: on humid days °C fit the humidity. With °C in a fifth of the flights, or in
# all, January to March have at most 3 such days in a row. So an alarm of data or labels is over after 4 days without.
CLEAN_DAYS = 4
# The ages of the first and the last day on which level 3 validates a model that is trained for this day. If fewer than
# two of them are left, so are too few flights: the training would fail, night after night.
VALIDATED, FEWEST_DAYS = (40, 13), 2
COOL_DOWN = 21  # days from one retraining to the next: a new model needs labels before it can be judged
# How a retrained version is tried (fields of Plan): two weeks, on nine flights of ten after the days in shadow. It is
# promoted if it is better, or shown to be worse by less than `margin`, in nats per flight: a hundredth of the loss.
PLAN: dict[str, Any] = {"look_every": 1, "max_days": 14, "share": 0.9, "smallest_gain": 0.0, "margin": 0.005}
DATA: tuple[Monitor, ...] = ("contract", "volume")
LABELS: tuple[Monitor, ...] = ("labels",)
QUALITY: tuple[Monitor, ...] = ("calibration", "calibration_slope", "skill")  # of a champion by itself: retrain
PERFORMANCE: tuple[Monitor, ...] = (*QUALITY, "regression_vs_previous", "severe_regression")  # of a champion
Kind = Literal["no_action", "notify", "stop_experiment", "defer", "retrain", "promote", "roll_back"]
Limit = Literal["", "experiment", "budget", "cool-down", "doubt"]  # that defers a retraining
Alarm = Literal["contract", "labels", "regression_vs_previous", "performance", "drift"]
Cause = Limit | Alarm | Literal["verdict", "non_inferior", "growth"]
REFUSED, FAILED = "refused", "failed"  # results: the platform refused the act; it was not done and may be tried again


@dataclass(frozen=True)
class EndedExperiment:
    """An experiment that has ended, and was not announced yet.

    suspect_days: earlier days that it counted although their data or labels were in alarm. counts_today: whether it
    counted the day that is being decided about.
    """

    experiment: str
    challenger: int
    state: str
    reason: str
    suspect_days: tuple[str, ...] = ()
    counts_today: bool = False


@dataclass(frozen=True)
class PolicyState:
    """The state of the loop before the day. An act that FAILED does not count as done.

    alarms: the newest result of each active alarm. first_day: of the record. retrainings: their days. champion_trained:
    the one of these that made the champion, or "". running_experiment: its name, or "". awaits_approval: whether its
    challenger has won. non_inferior_experiment: the newest experiment, if its challenger was shown to be non-inferior,
    though not better: it may be promoted; or "". suspect_days: of either experiment, as in EndedExperiment.
    rolled_back: versions. last_cause: of the decision before. ended: experiments to announce. in_doubt: of each earlier
    day on which an alarm of data or labels was active, the result that shows it; a training leaves these days out.
    accepted: the columns in alarm for a code that a person has accepted since.
    """

    alarms: tuple[MonitorResult, ...] = ()
    first_day: str = ""
    retrainings: tuple[str, ...] = ()
    champion_trained: str = ""
    running_experiment: str = ""
    awaits_approval: bool = False
    non_inferior_experiment: str = ""
    suspect_days: tuple[str, ...] = ()
    rolled_back: tuple[int, ...] = ()
    last_cause: str = ""
    ended: tuple[EndedExperiment, ...] = ()
    in_doubt: tuple[MonitorResult, ...] = ()
    accepted: tuple[str, ...] = ()


@dataclass(frozen=True)
class Decision:
    """The act for a day, the reason in a sentence, and the monitor results behind it.

    experiment: to promote from or to stop, or "". version: to roll back. alarms: the newest result of each alarm that
    is active after the day.
    """

    day: str
    kind: Kind
    reason: str
    evidence: tuple[MonitorResult, ...] = ()
    cause: Cause = ""
    alarms: tuple[MonitorResult, ...] = ()
    experiment: str = ""
    version: int | None = None


def decide(day: str, results: Iterable[MonitorResult], state: PolicyState) -> Decision:
    """One decision for the day, whatever the monitors found."""
    results = list(results)
    alarms = active_alarms(day, state.alarms, results, state.accepted)
    decision = (
        _protect(day, results, alarms, state) or _improve(day, results, state) or _notify(day, results, alarms, state)
    )
    return replace(decision, alarms=alarms)


def active_alarms(
    day: str, before: Iterable[MonitorResult], results: Iterable[MonitorResult], accepted: tuple[str, ...] = ()
) -> tuple[MonitorResult, ...]:
    """Today's alarms, and earlier ones that are not over yet.

    An alarm is over when its monitor ran and found its target neither in alarm nor without enough data; one of data or
    labels, when that is so on the last of CLEAN_DAYS days without it, or at once if its code was accepted. Weekly
    monitors do not run each day. The alarm of a version ends when the monitors measure another one.
    """
    results = list(results)
    active = {result.alarm_key: result for result in results if result.state == "alarm"}
    unknown = {result.alarm_key for result in results if result.state == "insufficient data"}
    ran = {result.monitor for result in results if result.state != "insufficient data"}
    if by_monitor(results, *PERFORMANCE):
        ran |= {*PERFORMANCE}
    for result in before:
        lasts = result.monitor in (*DATA, *LABELS) and _days_between(result.day, day) < CLEAN_DAYS
        if (lasts and result.target not in accepted) or result.monitor not in ran or result.alarm_key in unknown:
            active.setdefault(result.alarm_key, result)
    return tuple(active[key] for key in sorted(active))


def excluded_reason(active: Iterable[MonitorResult]) -> str:
    """Why a day does not count for the champion's performance: an alarm of inputs or labels is active; or ""."""
    alarms = {result.monitor for result in active}
    if alarms & {*DATA}:
        return performance.CONTRACT
    return performance.LABELS if alarms & {*LABELS} else performance.NOT_EXCLUDED


def _protect(
    day: str, results: list[MonitorResult], alarms: tuple[MonitorResult, ...], state: PolicyState
) -> Decision | None:
    """The reaction to wrong data, wrong labels or a bad new champion, if there is one."""
    running = state.running_experiment
    if data := by_monitor(alarms, *DATA):
        reason = f"Data contract violated{_until(day, data)}: {describe(data)}."
        return Decision(day, "stop_experiment", reason, data, "contract", experiment=running)
    if severe := _alarms_of(results, "severe_regression"):
        return _roll_back(day, severe, state)
    if labels := by_monitor(alarms, *LABELS):
        reason = f"No training and no promotion while labels are in alarm{_until(day, labels)}: {describe(labels)}."
        reason += f" {running} ends without a verdict." if running else ""
        kind: Kind = "stop_experiment" if running else "defer"
        return Decision(day, kind, reason, labels, "labels", experiment=running)
    if worse := _alarms_of(results, "regression_vs_previous"):
        return _roll_back(day, worse, state)
    return None


def _until(day: str, alarms: tuple[MonitorResult, ...]) -> str:
    """Which day alarms are of that do not ring today, and yet are not over."""
    last = max(one.day for one in alarms)
    return "" if last >= day else f" on {last}, and not yet {CLEAN_DAYS} days in a row without"


def _roll_back(day: str, alarms: tuple[MonitorResult, ...], state: PolicyState) -> Decision:
    cause: Cause = "regression_vs_previous"
    if new := tuple(alarm for alarm in alarms if alarm.version not in state.rolled_back):
        reason = f"The champion is worse than the previous one: {describe(new)}."
        return Decision(day, "roll_back", reason, new, cause, version=new[0].version)
    reason = f"A roll-back was already decided, but the version is still the champion: {describe(alarms)}."
    return Decision(day, "defer", reason, alarms, cause)


def _improve(day: str, results: list[MonitorResult], state: PolicyState) -> Decision | None:
    """A promotion or a retraining, if one is due.

    Where no alarm leads to it, the evidence is how labels and champion are.
    """
    status = by_monitor(results, *LABELS, *PERFORMANCE)
    experiment = state.running_experiment
    if state.awaits_approval and state.suspect_days:
        days = ", ".join(state.suspect_days)
        reason = f"The verdict of {experiment} is not used: data or labels were in alarm on {days}."
        return Decision(day, "stop_experiment", reason, status, "labels", experiment=experiment)
    if state.awaits_approval:
        reason = f"The challenger of {experiment} has won, and neither data nor labels are in alarm."
        return Decision(day, "promote", reason, status, "verdict", experiment=experiment)
    if (experiment := state.non_inferior_experiment) and not state.suspect_days:
        reason = f"{experiment} shows that its challenger is non-inferior, and it knows newer flights."
        return Decision(day, "promote", reason, status, "non_inferior", experiment=experiment)
    return _retrain(day, results, status, state)


def _retrain(
    day: str, results: list[MonitorResult], status: tuple[MonitorResult, ...], state: PolicyState
) -> Decision | None:
    """Whether the champion needs a challenger, and the limits allow one; status: the evidence where no alarm leads."""
    limit, because = _retraining_limit(day, state)
    if broken := _alarms_of(results, *QUALITY):
        if limit:
            return Decision(day, "defer", f"No retraining, because {because}: {describe(broken)}.", broken, limit)
        reason = f"The champion predicts badly: {describe(broken)}."
        return _train(Decision(day, "retrain", reason, broken, "performance"), state)
    if (grown := growth(day, state)) >= planned_growth(state) and not limit:
        reason = (
            f"Since the champion's training, the days with labels have grown by {grown - 1:.0%}; by plan, {BUDGET} "
            f"retrainings in {PERIOD} days, one is due after {planned_growth(state) - 1:.0%}."
        )
        return _train(Decision(day, "retrain", reason, status, "growth"), state)
    return None


def growth(day: str, state: PolicyState) -> float:
    """The days with labels on this day, divided by those that the champion was trained on."""
    return _known(day) / _known(state.champion_trained or state.first_day or day)


def planned_growth(state: PolicyState) -> float:
    """The growth after which a retraining is due, so that the budget lasts for the period.

    With n days, a model loses about c / n nats per flight for want of data. So each further day gains less, and over a
    period the loss is smallest if every training knows the same share more than the one before. Without a day on record
    none is due.
    """
    if not state.first_day:
        return math.inf
    first = _known(state.first_day)
    return float(((first + PERIOD) / first) ** (1 / (BUDGET + 1)))


def _known(day: str) -> int:
    """The days with labels, at least one."""
    return max(1, _days_between(HISTORY_BEGINS, day))


def _train(decision: Decision, state: PolicyState) -> Decision:
    """A retraining, without the days in doubt: their alarms are evidence too."""
    if not state.in_doubt:
        return decision
    evidence = (*decision.evidence, *state.in_doubt)
    days = _in_spans([one.day for one in state.in_doubt])
    reason = f"{decision.reason} Left out of the training, because data or labels were in alarm: {days}."
    return replace(decision, reason=reason, evidence=evidence)


def _in_spans(days: Sequence[str]) -> str:
    """Days in words, such as `2013-05-12 to 2013-08-14, 2013-09-02`."""
    spans: list[list[str]] = []
    for day in sorted(days):
        if spans and _days_between(spans[-1][-1], day) <= 1:
            spans[-1].append(day)
        else:
            spans.append([day])
    return ", ".join(" to ".join(dict.fromkeys((span[0], span[-1]))) for span in spans)


def days_left_out(decision: Decision) -> list[str]:
    """The days that a retraining leaves out, by the evidence of its decision: earlier ones, whose alarm was active."""
    return sorted({one.day for one in by_monitor(decision.evidence, *DATA, *LABELS) if one.day < decision.day})


def evidence_of_doubt(active: Iterable[MonitorResult], results: Iterable[MonitorResult]) -> MonitorResult | None:
    """What shows that a day is in doubt: one of its results whose alarm of data or labels is active, if there is one.

    One that rings, if there is one; else one of a target whose alarm is not over.
    """
    keys = {one.alarm_key for one in by_monitor(active, *DATA, *LABELS)}
    return min((one for one in results if one.alarm_key in keys), key=lambda one: one.state != "alarm", default=None)


def _retraining_limit(day: str, state: PolicyState) -> tuple[Limit, str]:
    """Which limit forbids a retraining today, and why; both empty where none does."""
    if state.running_experiment:
        return "experiment", f"{state.running_experiment} is running"
    if sum(_days_between(one, day) < PERIOD for one in state.retrainings) >= BUDGET:
        return "budget", f"all {BUDGET} retrainings of {PERIOD} days are used"
    if state.retrainings and (age := _days_between(max(state.retrainings), day)) < COOL_DOWN:
        return "cool-down", f"the last retraining is {age} days ago, and {COOL_DOWN} must pass"
    first, last = VALIDATED
    days = first - last + 1
    doubtful = sum(last <= _days_between(one.day, day) <= first for one in state.in_doubt)
    if days - doubtful < FEWEST_DAYS:
        return "doubt", f"{doubtful} of the {days} days to validate a model on are in doubt"
    return "", ""


def _days_between(first: str, last: str) -> int:
    return (date.fromisoformat(last) - date.fromisoformat(first)).days


def _notify(day: str, results: list[MonitorResult], alarms: tuple[MonitorResult, ...], state: PolicyState) -> Decision:
    known = {alarm.alarm_key for alarm in state.alarms}
    if new := tuple(alarm for alarm in _alarms_of(results, "drift") if alarm.alarm_key not in known):
        return Decision(day, "notify", f"Inputs drift, which alone changes nothing: {describe(new)}.", new, "drift")
    if not results:
        return Decision(day, "no_action", "No monitor has a result.")
    thin = sum(result.state == "insufficient data" for result in results)
    reason = f"{len(results)} monitor results, none that requires an action; {thin} with insufficient data"
    if alarms:
        names = ", ".join(f"{alarm.monitor} of {alarm.described_target}" for alarm in alarms)
        reason += f"; alarms notified before and still active: {names}"
    return Decision(day, "no_action", f"{reason}.")


def by_monitor(results: Iterable[MonitorResult], *monitors: str) -> tuple[MonitorResult, ...]:
    """The results of these monitors."""
    return tuple(result for result in results if result.monitor in monitors)


def describe(results: Iterable[MonitorResult]) -> str:
    """Results in words: monitor, target, message, value, threshold, rows."""
    return "; ".join(
        f"{result.monitor} of {result.described_target}: {result.message.rstrip('.')} "
        f"(value {figure(result.value)}, threshold {figure(result.threshold)}, {result.rows:,} rows)"
        for result in results
    )


def figure(value: float | None) -> str:
    """A value or threshold in words."""
    return "none" if value is None else f"{value:.4g}"


def _alarms_of(results: Iterable[MonitorResult], *monitors: Monitor) -> tuple[MonitorResult, ...]:
    return tuple(result for result in by_monitor(results, *monitors) if result.state == "alarm")
