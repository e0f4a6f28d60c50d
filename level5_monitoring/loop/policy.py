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
DATA, LABELS = ("contract", "features"), ("labels",)
# A version that is replaced is looked at no longer.
CHAMPION: tuple[Monitor, ...] = ("performance", "watch", "disaster")
Kind = Literal["nothing", "inform", "stop", "hold", "retrain", "promote", "roll back"]
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
    doubted: tuple[str, ...] = ()
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
    doubted: tuple[str, ...] = ()
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


def decide(day: str, findings: Iterable[MonitorResult], memory: PolicyState) -> Decision:
    """One decision for the day, whatever was found."""
    seen = list(findings)
    alarms = active_alarms(memory.alarms, seen)
    return replace(_choose(day, seen, alarms, memory), alarms=alarms)


def _choose(day: str, seen: list[MonitorResult], alarms: tuple[MonitorResult, ...], memory: PolicyState) -> Decision:
    if data := by_monitor(alarms, *DATA):
        return Decision(day, "stop", f"The data are not what was agreed: {describe(data)}.", data, "contract")
    if disaster := _alarms_of(seen, "disaster"):
        return _take_back(day, disaster, memory)
    if labels := by_monitor(alarms, *LABELS):
        why = f"Nothing is trained or promoted on outcomes in doubt: {describe(labels)}"
        if memory.experiment:  # a verdict on such days would not be used
            return Decision(day, "stop", f"{why}. {memory.experiment} ends without a verdict.", labels, "labels")
        return Decision(day, "hold", f"{why}.", labels, "labels")
    if watch := _alarms_of(seen, "watch"):
        return _take_back(day, watch, memory)
    return _improve(day, seen, memory) or _inform(day, seen, alarms, memory)


def _improve(day: str, seen: list[MonitorResult], memory: PolicyState) -> Decision | None:
    """What brings a better model to users, if anything does today."""
    if memory.waits:
        return _approve(day, seen, memory)
    if memory.tied and not memory.doubted:
        why = f"The challenger of {memory.tied} was no worse on any account, and has seen newer flights: ties go to it."
        return Decision(day, "promote", why, _standing(seen), "tie", target=memory.tied)
    if broken := _alarms_of(seen, "performance"):
        return _retrain(day, broken, memory)
    if (age := _days_since(day, memory)) >= LONGEST and not _held(day, memory)[0]:
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
        f"{found.monitor} of {found.subject}: {found.says.rstrip('.')} "
        f"(value {_figure(found.value)}, limit {_figure(found.limit)}, {found.rows:,} rows)"
        for found in findings
    )


def _take_back(day: str, watch: tuple[MonitorResult, ...], memory: PolicyState) -> Decision:
    if new := tuple(found for found in watch if found.subject not in memory.rolled_back):
        why = f"The champion does worse than the one before it: {describe(new)}."
        return Decision(day, "roll back", why, new, "watch", target=new[0].subject)
    why = f"It was decided to take the champion back already, and it is still there: {describe(watch)}."
    return Decision(day, "hold", why, watch, "watch")


def _approve(day: str, seen: list[MonitorResult], memory: PolicyState) -> Decision:
    if memory.doubted:
        days = ", ".join(memory.doubted)
        why = f"The verdict of {memory.experiment} rests on data or labels in alarm on {days}: it is not used."
        return Decision(day, "stop", why, _standing(seen), "labels")
    why = f"The challenger of {memory.experiment} has won, and neither data nor labels are in alarm."
    return Decision(day, "promote", why, _standing(seen), "verdict", target=memory.experiment)


def _retrain(day: str, broken: tuple[MonitorResult, ...], memory: PolicyState) -> Decision:
    held, because = _held(day, memory)
    if held:
        return Decision(day, "hold", f"No retraining, for {because}: {describe(broken)}.", broken, held)
    return Decision(
        day, "retrain", f"The champion does not keep its promise: {describe(broken)}.", broken, "performance"
    )


def _held(day: str, memory: PolicyState) -> tuple[str, str]:
    """Why there is no retraining today, in a word and in a sentence's part; both empty where there may be one."""
    if memory.experiment:
        return "experiment", f"{memory.experiment} is under way"
    if sum(_days_from(one, day) < PERIOD for one in memory.trainings) >= BUDGET:
        return "budget", f"all {BUDGET} retrainings of {PERIOD} days are spent"
    if memory.trainings and (since := _days_since(day, memory)) < COOL_DOWN:
        return "cool-down", f"the last retraining is {since} days ago, and {COOL_DOWN} must pass"
    return "", ""


def _days_since(day: str, memory: PolicyState) -> int:
    """Days since the last retraining, or since the first day on record."""
    return _days_from(max(memory.trainings, default=memory.begun or day), day)


def _days_from(first: str, last: str) -> int:
    return (date.fromisoformat(last) - date.fromisoformat(first)).days


def _inform(day: str, seen: list[MonitorResult], alarms: tuple[MonitorResult, ...], memory: PolicyState) -> Decision:
    known = {name_of(found) for found in memory.alarms}
    if new := tuple(found for found in _alarms_of(seen, "drift") if name_of(found) not in known):
        return Decision(day, "inform", f"Inputs drift, which alone changes nothing: {describe(new)}.", new, "drift")
    thin = sum(found.state == "insufficient data" for found in seen)
    why = f"{len(seen)} findings, none that asks for an act; {thin} with insufficient data"
    if alarms:
        why += f"; told before, and going on: {', '.join(f'{one.monitor} of {one.subject}' for one in alarms)}"
    return Decision(day, "nothing", f"{why}." if seen else "No monitor has said anything.")


def name_of(found: MonitorResult) -> tuple[str, str]:
    """What an alarm is told by from one day to the next: monitor and subject."""
    return found.monitor, found.subject


def by_monitor(findings: Iterable[MonitorResult], *monitors: str) -> tuple[MonitorResult, ...]:
    """The findings of these monitors."""
    return tuple(found for found in findings if found.monitor in monitors)


def _alarms_of(findings: Iterable[MonitorResult], monitor: str) -> tuple[MonitorResult, ...]:
    return tuple(found for found in by_monitor(findings, monitor) if found.state == "alarm")


def _figure(value: float | None) -> str:
    return "none" if value is None else f"{value:.4g}"
