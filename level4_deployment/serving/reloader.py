"""Follow the routes: load new versions beside those that serve, then switch; one that cannot load changes nothing."""

import asyncio
import logging
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from level4_deployment.serving.batching import ActiveExperiment, ChallengerRunner, NotReadyError, ServingState
from level4_deployment.serving.metrics import Metrics
from level4_deployment.serving.model import ServedModel, load_served
from level4_deployment.serving.package import Package
from level4_deployment.serving.routes import ROUTES, WORKERS, Routes, read_routes, read_status
from shared.errors import UserError
from shared.files import StateError, keep_json
from shared.processes.process_identity import still_runs, this_process
from shared.waiting import wait_until

POLL_EVERY, RETRY_AFTER, FOLLOWED_WITHIN = 0.2, 1.0, 60.0  # seconds
log = logging.getLogger("service")


class ModelReloader:
    """The models that this worker serves. refused: why it does not serve the present routes, or nothing."""

    def __init__(self, home: Path, metrics: Metrics) -> None:
        self.home, self.metrics = home, metrics
        self.now: ServingState | None = None
        self.refused = self.error = ""  # error: that of the last poll
        self.models: dict[tuple[int, str], ServedModel] = {}  # in use, by version and digest
        self.routes_stamp: tuple[int, int] | None = None  # of the routes file when it was last read
        self.read_at = 0.0

    def serving(self) -> ServingState:
        """The models that answer now; raises NotReadyError."""
        if self.now is None:
            raise NotReadyError(self.refused or "nothing is routed yet: no version is the champion")
        return self.now

    async def poll_forever(self) -> None:
        """Poll until cancelled."""
        while True:
            await asyncio.sleep(POLL_EVERY)
            await self.poll()

    async def poll(self) -> None:
        """Load new versions in the routes and publish what is served; what fails is tried again at the next poll.

        An error, such as a full disk, ends nothing: it is logged, and part of the status until a poll succeeds.
        """
        self.metrics.routes_read.set_to_current_time()
        try:
            await self._load_new_routes()
            self._publish()
        except Exception as error:
            if repr(error) != self.error:
                log.exception("cannot follow the routes")
            self.error, self.routes_stamp = repr(error), None
            self.refused = f"the routes cannot be followed: {error!r}"
            self.metrics.refused.set(1)
        else:
            self.error = ""

    async def _load_new_routes(self) -> None:
        stamp = _stamp(self.home / ROUTES)
        retry = self.refused and time.monotonic() - self.read_at > RETRY_AFTER
        if stamp == self.routes_stamp and not retry:
            return
        self.routes_stamp, self.read_at = stamp, time.monotonic()
        try:
            routes = read_routes(self.home)
            self.refused = await self._switch(routes) if routes else ""
        except (OSError, UserError) as error:
            self.refused = str(error)

    async def _switch(self, routes: Routes) -> str:
        """Serve the routes; returns why it serves them without their challenger, or nothing. Raises PackageError."""
        refused = ""
        models = {_key(routes.champion): await self._load(routes.champion)}
        if routes.challenger:
            try:
                models[_key(routes.challenger)] = await self._load(routes.challenger)
            except UserError as error:
                refused = str(error)
        self.models = models
        old = self.now.experiment if self.now else None
        experiment = self._experiment(routes, old)
        self.now = ServingState(routes.generation, models[_key(routes.champion)], experiment)
        if old and (experiment is None or experiment.challenger is not old.challenger):
            old.challenger.close()
        return refused

    async def _load(self, package: Package) -> ServedModel:
        """The model if it is loaded already; otherwise it is loaded in a thread while the event loop answers."""
        if found := self.models.get(_key(package)):
            return found
        return await asyncio.to_thread(load_served, self.home, package)

    def _experiment(self, routes: Routes, old: ActiveExperiment | None) -> ActiveExperiment | None:
        model = self.models.get(_key(routes.challenger)) if routes.challenger else None
        if model is None or routes.split is None:
            return None
        if old and old.challenger.model is model:
            return ActiveExperiment(old.challenger, routes.split)
        return ActiveExperiment(ChallengerRunner(model, asyncio.get_running_loop()), routes.split)

    def status(self) -> dict[str, Any]:
        """What this worker serves, for people and for the control plane."""
        now, experiment = self.now, self.now.experiment if self.now else None
        return {
            "pid": os.getpid(),
            "process": this_process(),
            "generation": now.generation if now else 0,
            "champion": _identity(now.champion) if now else None,
            "challenger": _identity(experiment.challenger.model) if experiment else None,
            "experiment": experiment.split.experiment if experiment else None,
            "share": experiment.split.share if experiment else None,
            "refused": self.refused,
        }

    def _publish(self) -> None:
        """Write what is served: to a file that exists as long as this process, to the metrics, and to its log.

        A file that something else has changed is written again.
        """
        status = self.status()
        file = _status_file(self.home)
        file.parent.mkdir(exist_ok=True)
        self.metrics.generation.set(status["generation"])
        self.metrics.refused.set(bool(self.refused))
        if not keep_json(file, status):
            return
        champion = status["champion"]
        log.info("serving", extra={"version": champion and champion["version"], "reason": self.refused})

    def remove_status(self) -> None:
        """Remove the status file."""
        _status_file(self.home).unlink(missing_ok=True)


def workers(home: Path) -> list[dict[str, Any]]:
    """The status of each running worker of the platform; the file of a killed one is removed."""
    found = []
    for file in sorted((home / WORKERS).glob("[0-9]*.json")):
        status = read_status(file)
        if status and still_runs(status["process"]):
            found.append(status)
        elif status:
            file.unlink(missing_ok=True)
    return found


def wait_for_workers(home: Path) -> None:
    """Return when every worker serves the present routes or refuses them, at the latest after FOLLOWED_WITHIN."""
    with suppress(TimeoutError):
        wait_until(lambda: _all_follow(home), FOLLOWED_WITHIN, pause=POLL_EVERY / 10)


def _all_follow(home: Path) -> bool:
    try:
        routes = read_routes(home)
    except StateError:  # until the control plane has written them again
        return False
    return routes is None or all(one["generation"] >= routes.generation or one["refused"] for one in workers(home))


def _status_file(home: Path) -> Path:
    return home / WORKERS / f"{os.getpid()}.json"


def _identity(model: ServedModel) -> dict[str, Any]:
    return {"version": model.version, "digest": model.digest}


def _key(package: Package) -> tuple[int, str]:
    return package.version, package.digest


def _stamp(file: Path) -> tuple[int, int] | None:
    """Changes whenever the file is replaced."""
    try:
        found = file.stat()
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_ino
