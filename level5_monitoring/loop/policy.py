"""What is done about what was seen: pure, and total. The same findings and memory always give the same decision.

The order: a broken contract > a new champion far worse than the one before > labels in doubt > a new champion worse
than the one before > a verdict that waits, or a challenger that is no worse > a champion that breaks its promise, or is
old > drift. What stands first decides; all that follows from bad data would be bad.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from typing import Literal

from level5_monitoring.monitors.monitor_result import Monitor, MonitorResult

BUDGET, PERIOD = 7, 274  # retrainings in so many days, nine months; the first training is none
COOL_DOWN = 21  # days from one retraining to the next: a new model needs outcomes before it can be judged
LONGEST = 42  # days without a retraining: what nothing calls broken may still be beaten by what has seen more
DATA, LABELS = ("contract", "volume"), ("labels",)
# A version that is replaced is looked at no longer.
CHAMPION: tuple[Monitor, ...] = ("performance", "regression_vs_previous", "severe_regression")
Kind = Literal["no_action", "notify", "halt_experiment", "defer", "retrain", "promote", "roll_back"]
REFUSED, FAILED = "refused", "failed"  # of an act: answered with no, which is that; not done, and may be asked again


@dataclass(frozen=True)
class EndedExperiment:
    """An experiment that has ended, and nobody was told of.

    doubted: days that it has counted, and whose data or labels were in alarm. today: whether it has counted the very
    day that is decided about.
    """

    experiment: str
    challenger: int
    state: str
    reason: str
    suspect_days: tuple[str, ...] = ()
    today: bool = False


@dataclass(frozen=True)
class PolicyState:
    """What was before the day. alarms: the last finding of each alarm that is not over.

    begun: the first day on record. trainings: days of decisions to retrain. experiment: under way, or "".
    waits: its winner waits for approval. tied: the newest one, if it ended undecided with a challenger that did no
    worse, or "".
    doubted: days of that experiment whose data or labels were in alarm. rolled_back: subjects ("version 3") taken back
    already. cause: of the decision before. An act that FAILED counts for none.
    """

    alarms: tuple[MonitorResult, ...] = ()
    begun: str = ""
    trainings: tuple[str, ...] = ()
    experiment: str = ""
    waits: bool = False
    tied: str = ""
    suspect_days: tuple[str, ...] = ()
    rolled_back: tuple[str, ...] = ()
    cause: str = ""
    ended: tuple[EndedExperiment, ...] = ()


@dataclass(frozen=True)
class Decision:
    """What to do about a day, why in a sentence, and the findings it rests on.

    cause: in a word: contract, labels, watch, verdict, tie, performance, age, experiment,
    cool-down, budget, drift, or "". target: the experiment to promote from, the "version 3" to take back, or "".
    alarms: the last finding of each alarm that is on after the day.
    """

    day: str
    kind: Kind
    reason: str
    evidence: tuple[MonitorResult, ...] = ()
    cause: str = ""
    alarms: tuple[MonitorResult, ...] = ()
    target: str = ""


def decide(day: str, findings: Iterable[MonitorResult], policy_state: PolicyState) -> Decision:
    """One decision for the day, whatever was found."""
    seen = list(findings)
    alarms = active_alarms(policy_state.alarms, seen)
    return replace(_choose(day, seen, alarms, policy_state), alarms=alarms)


def _choose(
    day: str, seen: list[MonitorResult], alarms: tuple[MonitorResult, ...], policy_state: PolicyState
) -> Decision:
    if data := by_monitor(alarms, *DATA):
        return Decision(
            day, "halt_experiment", f"The data are not what was agreed: {describe(data)}.", data, "contract"
        )
    if disaster := _alarms_of(seen, "severe_regression"):
        return _take_back(day, disaster, policy_state)
    if labels := by_monitor(alarms, *LABELS):
        why = f"Nothing is trained or promoted on outcomes in doubt: {describe(labels)}"
        if policy_state.experiment:  # a verdict on such days would not be used
            return Decision(
                day, "halt_experiment", f"{why}. {policy_state.experiment} ends without a verdict.", labels, "labels"
            )
        return Decision(day, "defer", f"{why}.", labels, "labels")
    if watch := _alarms_of(seen, "regression_vs_previous"):
        return _take_back(day, watch, policy_state)
    return _improve(day, seen, policy_state) or _inform(day, seen, alarms, policy_state)


def _improve(day: str, seen: list[MonitorResult], policy_state: PolicyState) -> Decision | None:
    """What brings a better model to users, if anything does today."""
    if policy_state.waits:
        return _approve(day, seen, policy_state)
    if policy_state.tied and not policy_state.suspect_days:
        why = f"The challenger of {policy_state.tied} was no worse, and has seen newer flights: ties go to it."
        return Decision(day, "promote", why, _standing(seen), "non_inferior", target=policy_state.tied)
    if broken := _alarms_of(seen, "performance"):
        return _retrain(day, broken, policy_state)
    if (age := _days_since(day, policy_state)) >= LONGEST and not _held(day, policy_state)[0]:
        why = f"The last training is {age} days ago; after {LONGEST} a champion is challenged, however well it does."
        return Decision(day, "retrain", why, _standing(seen), "age")
    return None


def _standing(seen: list[MonitorResult]) -> tuple[MonitorResult, ...]:
    """How outcomes and champion stand: the evidence for what no alarm has led to."""
    return by_monitor(seen, *LABELS, *CHAMPION)


def active_alarms(before: Iterable[MonitorResult], findings: Iterable[MonitorResult]) -> tuple[MonitorResult, ...]:
    """The alarms that are on: today's, and those before that no monitor has seen to be over.

    Over: its monitor looked, and called neither alarm nor insufficient data on the subject. A weekly monitor does not
    look each day, and a version that is no champion any more is looked at no longer.
    """
    seen = list(findings)
    on = {name_of(found): found for found in seen if found.state == "alarm"}
    unknown = {name_of(found) for found in seen if found.state == "insufficient data"}
    looked = {found.monitor for found in seen if found.state != "insufficient data"}
    if any(found.monitor in CHAMPION for found in seen):
        looked |= {*CHAMPION}
    for found in before:
        if found.monitor not in looked or name_of(found) in unknown:
            on.setdefault(name_of(found), found)
    return tuple(on[name] for name in sorted(on))


def describe(findings: Iterable[MonitorResult]) -> str:
    """Findings as words: monitor, subject, what it says, value, limit, rows."""
    return "; ".join(
        f"{found.monitor} of {found.target}: {found.message.rstrip('.')} "
        f"(value {_figure(found.value)}, limit {_figure(found.threshold)}, {found.rows:,} rows)"
        for found in findings
    )


def _take_back(day: str, watch: tuple[MonitorResult, ...], policy_state: PolicyState) -> Decision:
    if new := tuple(found for found in watch if found.target not in policy_state.rolled_back):
        why = f"The champion does worse than the one before it: {describe(new)}."
        return Decision(day, "roll_back", why, new, "regression_vs_previous", target=new[0].target)
    why = f"It was decided to take the champion back already, and it is still there: {describe(watch)}."
    return Decision(day, "defer", why, watch, "regression_vs_previous")


def _approve(day: str, seen: list[MonitorResult], policy_state: PolicyState) -> Decision:
    if policy_state.suspect_days:
        days = ", ".join(policy_state.suspect_days)
        why = f"The verdict of {policy_state.experiment} rests on data or labels in alarm on {days}: it is not used."
        return Decision(day, "halt_experiment", why, _standing(seen), "labels")
    why = f"The challenger of {policy_state.experiment} has won, and neither data nor labels are in alarm."
    return Decision(day, "promote", why, _standing(seen), "verdict", target=policy_state.experiment)


def _retrain(day: str, broken: tuple[MonitorResult, ...], policy_state: PolicyState) -> Decision:
    held, because = _held(day, policy_state)
    if held:
        return Decision(day, "defer", f"No retraining, for {because}: {describe(broken)}.", broken, held)
    return Decision(
        day, "retrain", f"The champion does not keep its promise: {describe(broken)}.", broken, "performance"
    )


def _held(day: str, policy_state: PolicyState) -> tuple[str, str]:
    """Why there is no retraining today, in a word and in a sentence's part; both empty where there may be one."""
    if policy_state.experiment:
        return "experiment", f"{policy_state.experiment} is under way"
    if sum(_days_from(one, day) < PERIOD for one in policy_state.trainings) >= BUDGET:
        return "budget", f"all {BUDGET} retrainings of {PERIOD} days are spent"
    if policy_state.trainings and (since := _days_since(day, policy_state)) < COOL_DOWN:
        return "cool-down", f"the last retraining is {since} days ago, and {COOL_DOWN} must pass"
    return "", ""


def _days_since(day: str, policy_state: PolicyState) -> int:
    """Days since the last retraining, or since the first day on record."""
    return _days_from(max(policy_state.trainings, default=policy_state.begun or day), day)


def _days_from(first: str, last: str) -> int:
    return (date.fromisoformat(last) - date.fromisoformat(first)).days


def _inform(
    day: str, seen: list[MonitorResult], alarms: tuple[MonitorResult, ...], policy_state: PolicyState
) -> Decision:
    known = {name_of(found) for found in policy_state.alarms}
    if new := tuple(found for found in _alarms_of(seen, "drift") if name_of(found) not in known):
        return Decision(day, "notify", f"Inputs drift, which alone changes nothing: {describe(new)}.", new, "drift")
    thin = sum(found.state == "insufficient data" for found in seen)
    why = f"{len(seen)} findings, none that asks for an act; {thin} with insufficient data"
    if alarms:
        why += f"; told before, and going on: {', '.join(f'{one.monitor} of {one.target}' for one in alarms)}"
    return Decision(day, "no_action", f"{why}." if seen else "No monitor has said anything.")


def name_of(found: MonitorResult) -> tuple[str, str]:
    """What an alarm is told by from one day to the next: monitor and subject."""
    return found.monitor, found.target


def by_monitor(findings: Iterable[MonitorResult], *monitors: str) -> tuple[MonitorResult, ...]:
    """The findings of these monitors."""
    return tuple(found for found in findings if found.monitor in monitors)


def _alarms_of(findings: Iterable[MonitorResult], monitor: str) -> tuple[MonitorResult, ...]:
    return tuple(found for found in by_monitor(findings, monitor) if found.state == "alarm")


def _figure(value: float | None) -> str:
    return "none" if value is None else f"{value:.4g}"
