"""A challenger beside the champion: in a thread of its own, within a deadline, at nobody's cost but its own."""

import queue
import threading
import time
from asyncio import AbstractEventLoop, TimerHandle
from collections.abc import Callable
from dataclasses import dataclass

from level4_deployment.serving.model import Prediction, ServedModel
from level4_deployment.serving.package import Numbers, Strings

LIVE, SHADOW = 0.050, 1.0  # seconds that a turn's flights wait for a challenger; in shadow nobody waits with them
TIMES = 4  # a batch that keeps the champion at work for long gives the challenger as many times that, on top
SLOW_FROM = 0.0002  # seconds: what takes less is never called slow
LATE, BUSY = "deadline", "deadline: still at work on earlier flights"


@dataclass(frozen=True)
class ChallengerResult:
    """What became of one turn's flights: for each an answer, or why there is none.

    seconds: of work, as the processor counts it; what did not end in time counts as long as it was given. slow: it took
    several times as long as the champion did for the same flights, all of which it scored. Waiting for a processor is
    the machine's doing.
    """

    found: list[Prediction | str]
    seconds: float
    slow: bool


@dataclass
class ChallengerJob:
    """One turn's flights on their way. settle: called once, in the event loop; by then `settled`."""

    strings: Strings
    numbers: Numbers
    champion_seconds: float
    within: float
    settle: Callable[[ChallengerResult], None]
    timer: TimerHandle | None = None
    settled: bool = False


class ChallengerRunner:
    """One version on trial.

    A run that hangs cannot be stopped from outside. So nobody queues behind one that is over its time, and its thread
    is a daemon, which does not keep the process from ending.
    """

    def __init__(self, model: ServedModel, loop: AbstractEventLoop) -> None:
        self.model, self.loop = model, loop
        self.trials: queue.SimpleQueue[ChallengerJob | None] = queue.SimpleQueue()
        self.over_at: float | None = None  # while it is at work: when its time is over
        self.thread = threading.Thread(target=self._run, name=f"challenger {model.version}", daemon=True)
        self.thread.start()

    def ask(
        self,
        strings: Strings,
        numbers: Numbers,
        champion_seconds: float,
        wait: float,
        settle: Callable[[ChallengerResult], None],
    ) -> None:
        """Ask about one turn's flights, for which the champion worked `champion_seconds`; `wait` is LIVE or SHADOW."""
        trial = ChallengerJob(strings, numbers, champion_seconds, wait + TIMES * champion_seconds, settle)
        over_at = self.over_at  # read once: its thread may end the run between two looks
        if over_at is not None and time.monotonic() > over_at:
            self._give_up(trial, BUSY)
            return
        trial.timer = self.loop.call_later(trial.within, self._give_up, trial, LATE)
        self.trials.put(trial)

    def close(self) -> None:
        """Let the thread end, after what waits."""
        self.trials.put(None)

    def _run(self) -> None:
        while (trial := self.trials.get()) is not None:
            if trial.settled:
                continue
            self.over_at = time.monotonic() + trial.within
            begun = time.thread_time()
            found = self.model.answers(trial.strings, trial.numbers)
            seconds = time.thread_time() - begun
            self.over_at = None
            whole = not any(isinstance(one, str) for one in found)  # what fails is asked about row by row, and is told
            slow = whole and seconds > max(TIMES * trial.champion_seconds, SLOW_FROM)
            try:
                self.loop.call_soon_threadsafe(self._settle, trial, ChallengerResult(found, seconds, slow))
            except RuntimeError:  # the loop has ended meanwhile, and nobody waits
                return

    def _give_up(self, trial: ChallengerJob, why: str) -> None:
        self._settle(trial, ChallengerResult([why] * len(trial.strings), trial.within, slow=True))

    @staticmethod
    def _settle(trial: ChallengerJob, tried: ChallengerResult) -> None:
        """What comes first settles a trial: the answers, or the deadline."""
        if trial.settled:
            return
        trial.settled = True
        if trial.timer:
            trial.timer.cancel()
        trial.settle(tried)
