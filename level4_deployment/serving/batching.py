"""Micro-batching: requests that arrive in one event-loop iteration are scored together, and logged before any reply.

A challenger scores the same batch in a thread of its own, under a deadline. Only flights in its live arm wait for it;
when it fails, is late or hangs, they get the champion's answer.
"""

import asyncio
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from level4_deployment.experiment.assignment import CHALLENGER, arm, propensity
from level4_deployment.serving.log_writer import LogEntry, LogWriter
from level4_deployment.serving.metrics import Metrics
from level4_deployment.serving.model import Prediction, ServedModel
from level4_deployment.serving.package import Numbers, Strings
from level4_deployment.serving.requests import PendingPrediction, tensors
from level4_deployment.serving.routes import Split

LIVE = 0.050  # seconds that a caller waits for a challenger, for each flight of its request
SHADOW = 5.0  # seconds that a batch waits in shadow, where no caller waits; and the longest wait of any caller
TIMES = 4  # a batch for which the champion needs long gives the challenger as many times that, on top
SLOW_FROM = 0.0002  # seconds: a shorter run never counts as slow
LATE, BUSY = "deadline", "deadline: still at work on earlier flights"
Rows = list[tuple[Any, ...]]


class ScoringError(RuntimeError):
    """The champion has no score for a flight."""


class NotReadyError(RuntimeError):
    """No model is loaded, or the log cannot be written."""


@dataclass(frozen=True)
class ChallengerResult:
    """A challenger's result for one batch: for each flight an answer, or why there is none.

    seconds: processor time; for a batch that was late, the time it was given. slow: it was late, or needed several
    times as long as the champion for the same flights. Processor time, so that a busy machine makes no model slow.
    """

    found: list[Prediction | str]
    seconds: float
    slow: bool


@dataclass
class ChallengerJob:
    """One batch for a challenger. champion_seconds: what it took the champion; wait: seconds, see `_longest_wait`.

    settle: called once, in the event loop, after which it is `settled`.
    """

    strings: Strings
    numbers: Numbers
    champion_seconds: float
    wait: float
    settle: Callable[[ChallengerResult], None]
    timer: asyncio.TimerHandle | None = None
    settled: bool = False

    @property
    def within(self) -> float:
        """Seconds until the deadline."""
        return self.wait + TIMES * self.champion_seconds


class ChallengerRunner:
    """One challenger in a thread of its own.

    A run that hangs cannot be stopped from outside. So while one is past its deadline, new batches are not queued, and
    the thread is a daemon, which does not keep the process alive.
    """

    def __init__(self, model: ServedModel, loop: asyncio.AbstractEventLoop) -> None:
        self.model, self.loop = model, loop
        self.jobs: queue.SimpleQueue[ChallengerJob | None] = queue.SimpleQueue()
        self.over_at: float | None = None  # the deadline of the present run
        self.thread = threading.Thread(target=self._run, name=f"challenger {model.version}", daemon=True)
        self.thread.start()

    def submit(self, job: ChallengerJob) -> None:
        """Score a batch, unless the present run is past its deadline."""
        over_at = self.over_at  # read once, because the thread may set it to None at any time
        if over_at is not None and time.monotonic() > over_at:
            self._give_up(job, BUSY)
            return
        job.timer = self.loop.call_later(job.within, self._give_up, job, LATE)
        self.jobs.put(job)

    def close(self) -> None:
        """End the thread after the jobs in its queue."""
        self.jobs.put(None)

    def _run(self) -> None:
        while (job := self.jobs.get()) is not None:
            if job.settled:
                continue
            self.over_at = time.monotonic() + job.within
            begun = time.thread_time()
            found = self.model.answers(job.strings, job.numbers)
            seconds = time.thread_time() - begun
            self.over_at = None
            whole = not any(isinstance(one, str) for one in found)  # after a failure, rows are scored one by one
            slow = whole and seconds > max(TIMES * job.champion_seconds, SLOW_FROM)
            try:
                self.loop.call_soon_threadsafe(self._settle, job, ChallengerResult(found, seconds, slow))
            except RuntimeError:  # the loop has ended, so no caller waits
                return

    def _give_up(self, job: ChallengerJob, why: str) -> None:
        self._settle(job, ChallengerResult([why] * len(job.strings), job.within, slow=True))

    @staticmethod
    def _settle(job: ChallengerJob, result: ChallengerResult) -> None:
        """Settle a job once, with the answers or at its deadline, whichever comes first."""
        if job.settled:
            return
        job.settled = True
        if job.timer:
            job.timer.cancel()
        job.settle(result)


@dataclass(frozen=True)
class ActiveExperiment:
    """A challenger and the split of the flights."""

    challenger: ChallengerRunner
    split: Split


@dataclass(frozen=True)
class ServingState:
    """The models that answer now, and the generation of the routes that name them."""

    generation: int
    champion: ServedModel
    experiment: ActiveExperiment | None = None


@dataclass
class PendingRequest:
    """The flights of one request. on_record: done once their predictions are in the log."""

    flights: list[PendingPrediction]
    on_record: "asyncio.Future[None]"

    def fail(self, error: Exception) -> None:
        """Raise `error` for the caller, unless it has disconnected."""
        if not self.on_record.done():
            self.on_record.set_exception(error)


class MicroBatcher:
    """Collects requests, scores them and logs them, all in the event loop."""

    def __init__(self, serving: Callable[[], ServingState], writer: LogWriter, metrics: Metrics) -> None:
        """`serving` raises NotReadyError while no model is loaded."""
        self.serving, self.writer, self.metrics = serving, writer, metrics
        self.waiting: list[PendingRequest] = []

    async def predict(self, flights: list[PendingPrediction]) -> None:
        """Give each flight its answer; return when all are in the log. Raises NotReadyError or ScoringError."""
        self.serving()
        loop = asyncio.get_running_loop()
        request = PendingRequest(flights, loop.create_future())
        if not self.waiting:
            loop.call_soon(self._score_waiting)
        self.waiting.append(request)
        await request.on_record

    def _score_waiting(self) -> None:
        requests, self.waiting = self.waiting, []
        try:
            self._score(requests, self.serving())
        except Exception as error:  # noqa: BLE001 - the callers wait for it
            for request in requests:
                request.fail(error)

    def _score(self, requests: list[PendingRequest], serving: ServingState) -> None:
        """Score every flight with the champion, and with the challenger if there is one."""
        flights = [flight for request in requests for flight in request.flights]
        strings, numbers = tensors([flight.row for flight in flights])
        begun = time.thread_time()
        answers = serving.champion.answers(strings, numbers)
        seconds = time.thread_time() - begun
        self.metrics.scored(serving.champion.version, answers, seconds)
        for flight, answer in zip(flights, answers, strict=True):
            flight.version, flight.answer = serving.champion.version, answer
        experiment = serving.experiment
        if experiment is None:
            self._log(requests, {})
            return
        share = experiment.split.share
        for flight in flights:
            flight.experiment = experiment.split.experiment
            flight.arm = arm(experiment.split.salt, share, flight.flight_id)
            flight.propensity = propensity(share, flight.arm)
        answered, held = _split_by_arm(requests)
        self._log(answered, {})
        settle = partial(self._use_challenger, experiment, flights, held)
        wait = _longest_wait(held or requests) if share else SHADOW
        experiment.challenger.submit(ChallengerJob(strings, numbers, seconds, wait, settle))

    def _use_challenger(
        self,
        experiment: ActiveExperiment,
        flights: list[PendingPrediction],
        held: list[PendingRequest],
        result: ChallengerResult,
    ) -> None:
        """Answer the requests that waited for the challenger, and log the score that no caller gets."""
        version, name = experiment.challenger.model.version, experiment.split.experiment
        self.metrics.scored(version, result.found, result.seconds)
        shadow: Rows = []
        failed = fell_back = 0
        for flight, theirs in zip(flights, result.found, strict=True):
            if isinstance(theirs, str):
                failed += 1
            elif isinstance(flight.answer, Prediction):  # codes that only the champion knows
                fell_back += bool(theirs.unknown) and not flight.answer.unknown
            if flight.arm == CHALLENGER and isinstance(theirs, Prediction):
                shadow.append(_shadow_row(flight, flight.version, flight.answer))
                flight.version, flight.answer = version, theirs
            else:
                shadow.append(_shadow_row(flight, version, theirs))
        batch = (version, name, len(flights), failed, result.seconds, int(result.slow), fell_back)
        self._log(held, {"shadow_predictions": shadow, "inference_batches": [batch]})

    def _log(self, requests: list[PendingRequest], rows: dict[str, Rows]) -> None:
        """Queue the predictions of some requests for the log, with `rows` of other tables."""
        whole = []
        for request in requests:
            if failures := [flight.answer for flight in request.flights if isinstance(flight.answer, str)]:
                request.fail(ScoringError(f"version {request.flights[0].version} cannot score this: {failures[0]}"))
            else:
                whole.append(request)
        predictions = [flight.as_row() for request in whole for flight in request.flights]
        self.writer.put(LogEntry(rows | {"predictions": predictions}, partial(self._acknowledge, whole)))
        for version, many in Counter(flight.version for request in whole for flight in request.flights).items():
            self.metrics.predictions.labels(version).inc(many)

    def _acknowledge(self, requests: Iterable[PendingRequest], error: Exception | None) -> None:
        for request in requests:
            if error:
                self.metrics.write_failures.inc()
                request.fail(NotReadyError(f"the prediction log cannot be written: {error}"))
            elif not request.on_record.done():
                request.on_record.set_result(None)


def _split_by_arm(requests: list[PendingRequest]) -> tuple[list[PendingRequest], list[PendingRequest]]:
    """Requests that can be answered now, and those with a flight in the challenger's arm."""
    answered: list[PendingRequest] = []
    held: list[PendingRequest] = []
    for request in requests:
        waits = any(flight.arm == CHALLENGER for flight in request.flights)
        (held if waits else answered).append(request)
    return answered, held


def _longest_wait(requests: list[PendingRequest]) -> float:
    """Seconds that all of these requests may wait: LIVE for each flight of the one with the fewest, SHADOW at most."""
    return min(LIVE * min(len(request.flights) for request in requests), SHADOW)


def _shadow_row(flight: PendingPrediction, version: int, answer: Prediction | str) -> tuple[Any, ...]:
    """A row of `shadow_predictions`: the score of the model that does not answer this flight."""
    failed = isinstance(answer, str)
    return flight.request_id, version, None if failed else answer[0], answer if failed else None
