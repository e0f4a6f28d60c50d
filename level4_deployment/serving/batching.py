"""Scoring: what comes in during one turn of the event loop goes through the model together, then into the log."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from level4_deployment.experiment.assignment import CHALLENGER, arm, propensity
from level4_deployment.serving.challenger import LIVE, SHADOW, ChallengerResult, ChallengerRunner
from level4_deployment.serving.log_writer import LogEntry, LogWriter
from level4_deployment.serving.metrics import Metrics
from level4_deployment.serving.model import Prediction, ServedModel
from level4_deployment.serving.online_features import tensors
from level4_deployment.serving.requests import PendingPrediction
from level4_deployment.serving.routes import Split

Rows = list[tuple[Any, ...]]


class ScoringError(RuntimeError):
    """The champion has no score for a flight."""


class NotReadyError(RuntimeError):
    """There is nothing to answer with, or no log to write it to."""


@dataclass(frozen=True)
class ActiveExperiment:
    """Who is tried, and on which flights."""

    challenger: ChallengerRunner
    split: Split


@dataclass(frozen=True)
class ServingState:
    """What answers now."""

    generation: int
    champion: ServedModel
    experiment: ActiveExperiment | None = None


@dataclass
class PendingRequest:
    """The flights of one request. on_record: done once their answers are."""

    flights: list[PendingPrediction]
    on_record: "asyncio.Future[None]"

    def fail(self, error: Exception) -> None:
        """Have the caller told; one that has left meanwhile needs nothing."""
        if not self.on_record.done():
            self.on_record.set_exception(error)


class MicroBatcher:
    """Collects, scores, logs. All of it happens in the event loop, one thing after the other."""

    def __init__(self, serving: Callable[[], ServingState], writer: LogWriter, metrics: Metrics) -> None:
        """`serving` raises NotReadyError while there is nothing."""
        self.serving, self.writer, self.metrics = serving, writer, metrics
        self.waiting: list[PendingRequest] = []

    async def ask(self, flights: list[PendingPrediction]) -> None:
        """Give each flight its answer, and return when that is on record; raises NotReadyError or ScoringError."""
        self.serving()
        loop = asyncio.get_running_loop()
        request = PendingRequest(flights, loop.create_future())
        if not self.waiting:
            loop.call_soon(self._turn)
        self.waiting.append(request)
        await request.on_record

    def _turn(self) -> None:
        requests, self.waiting = self.waiting, []
        try:
            self._score(requests, self.serving())
        except Exception as error:  # noqa: BLE001 - nobody else would ever tell those that wait
            for request in requests:
                request.fail(error)

    def _score(self, requests: list[PendingRequest], serving: ServingState) -> None:
        """Ask the champion about every flight; the challenger too, if there is one."""
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
            self._record(requests, {})
            return
        share = experiment.split.share
        for flight in flights:
            flight.experiment = experiment.split.experiment
            flight.arm = arm(experiment.split.salt, share, flight.flight_id)
            flight.propensity = propensity(share, flight.arm)
        free, held = _apart(requests)
        self._record(free, {})
        settle = partial(self._compare, experiment, flights, held)
        experiment.challenger.ask(strings, numbers, seconds, LIVE if share else SHADOW, settle)

    def _compare(
        self,
        experiment: ActiveExperiment,
        flights: list[PendingPrediction],
        held: list[PendingRequest],
        tried: ChallengerResult,
    ) -> None:
        """Put down what the challenger said, or did not, and answer those that have waited for it."""
        version = experiment.challenger.model.version
        self.metrics.scored(version, tried.found, tried.seconds)
        paired: Rows = []
        fell_back = sum(_knows_less(theirs, flight.answer) for flight, theirs in zip(flights, tried.found, strict=True))
        for flight, theirs in zip(flights, tried.found, strict=True):
            if flight.arm == CHALLENGER and isinstance(theirs, Prediction):
                paired.append(_paired(flight, flight.version, flight.answer))
                flight.version, flight.answer = version, theirs
            else:
                paired.append(_paired(flight, version, theirs))
        failed = sum(isinstance(theirs, str) for theirs in tried.found)
        name = experiment.split.experiment
        scoring = (version, name, len(flights), failed, tried.seconds, int(tried.slow), fell_back)
        self._record(held, {"shadow_predictions": paired, "inference_batches": [scoring]})

    def _record(self, requests: list[PendingRequest], rows: dict[str, Rows]) -> None:
        """Write the answers to some requests into the log, and whatever else is to be written."""
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
                self.metrics.log_failures.inc()
                request.fail(NotReadyError(f"the prediction log cannot be written: {error}"))
            elif not request.on_record.done():
                request.on_record.set_result(None)


def _apart(requests: list[PendingRequest]) -> tuple[list[PendingRequest], list[PendingRequest]]:
    """Those that can be answered at once, and those with a flight that is the challenger's to answer."""
    free: list[PendingRequest] = []
    held: list[PendingRequest] = []
    for request in requests:
        theirs = any(flight.arm == CHALLENGER for flight in request.flights)
        (held if theirs else free).append(request)
    return free, held


def _knows_less(theirs: Prediction | str, champions: Prediction | str) -> bool:
    """Whether a challenger answers by its base rate where the champion does not."""
    return (
        isinstance(theirs, Prediction)
        and bool(theirs.unknown)
        and isinstance(champions, Prediction)
        and not champions.unknown
    )


def _paired(flight: PendingPrediction, version: int, answer: Prediction | str) -> tuple[Any, ...]:
    """A row of PAIRED: what the one that does not answer this flight says of it."""
    failed = isinstance(answer, str)
    return flight.request_id, version, None if failed else answer[0], answer if failed else None
