"""Follow the routes: load what they ask for beside what serves, then switch; what cannot be loaded changes nothing."""

import asyncio
import json
import logging
import os
import time
from pathlib import Path
from typing import Any

import psutil

from level4_deployment.serving.batching import ActiveExperiment, NotReadyError, ServingState
from level4_deployment.serving.challenger import ChallengerRunner
from level4_deployment.serving.metrics import Metrics
from level4_deployment.serving.model import ServedModel, load_served
from level4_deployment.serving.routes import ROUTES, WORKERS, Package, Routes, read_routes
from shared.errors import UserError

LOOK_EVERY, TRY_AGAIN_AFTER, FOLLOWED_WITHIN = 0.2, 1.0, 10.0  # seconds
log = logging.getLogger("service")


class ModelReloader:
    """What this worker serves, and why it is not what the routes say, if it is not."""

    def __init__(self, home: Path, metrics: Metrics) -> None:
        self.home, self.metrics = home, metrics
        self.now: ServingState | None = None
        self.refused = ""
        self.told: tuple[ServingState | None, str] | None = None  # what was published last
        self.untold = ""  # why nothing can be published, at present
        self.models: dict[tuple[int, str], ServedModel] = {}  # those in use, by version and digest
        self.seen: tuple[int, int] | None = None  # the file of the routes, as it was last read
        self.tried_at = 0.0

    def serving(self) -> ServingState:
        """What answers now; raises NotReadyError."""
        if self.now is None:
            raise NotReadyError(self.refused or "nothing is routed yet: no version is the champion")
        return self.now

    async def follow(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            await self.look()

    async def look(self) -> None:
        """Load what is new in the routes, and publish it; what was refused is tried again: it may be there whole."""
        self.metrics.routes_read.set_to_current_time()
        await self._load_what_is_new()
        if (self.now, self.refused) == self.told:
            return
        try:
            self.tell()
        except OSError as error:  # a full disk, perhaps: the next look may do better
            if str(error) != self.untold:
                log.warning("cannot publish what is served", extra={"reason": str(error)})
            self.untold = str(error)
        else:
            self.told, self.untold = (self.now, self.refused), ""

    async def _load_what_is_new(self) -> None:
        seen = _stamp(self.home / ROUTES)
        again = self.refused and time.monotonic() - self.tried_at > TRY_AGAIN_AFTER
        if seen == self.seen and not again:
            return
        self.seen, self.tried_at = seen, time.monotonic()
        try:
            routes = read_routes(self.home)
            self.refused = await self._switch(routes) if routes else ""
        except (OSError, ValueError, KeyError, TypeError) as error:  # UserError is a ValueError
            self.refused = str(error) if isinstance(error, UserError) else f"{ROUTES} cannot be read: {error!r}"

    async def _switch(self, routes: Routes) -> str:
        """Serve what the routes say; returns why it is without their challenger, if it is. Raises PackageError."""
        refused = ""
        models = {_key(routes.champion): await self._load(routes.champion)}
        if routes.challenger:
            try:
                models[_key(routes.challenger)] = await self._load(routes.challenger)
            except UserError as error:
                refused = str(error)
        self.models = models
        experiment = self._experiment(routes)
        old = self.now.experiment if self.now else None
        self.now = ServingState(routes.generation, models[_key(routes.champion)], experiment)
        if old and (experiment is None or experiment.challenger is not old.challenger):
            old.challenger.close()
        return refused

    async def _load(self, package: Package) -> ServedModel:
        """The model that is here already, or a new one, loaded in a thread while the loop answers."""
        if found := self.models.get(_key(package)):
            return found
        return await asyncio.to_thread(load_served, self.home, package)

    def _experiment(self, routes: Routes) -> ActiveExperiment | None:
        model = self.models.get(_key(routes.challenger)) if routes.challenger else None
        if model is None or routes.split is None:
            return None
        old = self.now.experiment if self.now else None
        if old and old.challenger.model is model:
            return ActiveExperiment(old.challenger, routes.split)
        return ActiveExperiment(ChallengerRunner(model, asyncio.get_running_loop()), routes.split)

    def status(self) -> dict[str, Any]:
        """What this worker serves, for people and for the control plane."""
        now, experiment = self.now, self.now.experiment if self.now else None
        return {
            "pid": os.getpid(),
            "generation": now.generation if now else 0,
            "champion": _named(now.champion) if now else None,
            "challenger": _named(experiment.challenger.model) if experiment else None,
            "experiment": experiment.split.experiment if experiment else None,
            "share": experiment.split.share if experiment else None,
            "refused": self.refused,
        }

    def tell(self) -> None:
        """Publish what is served: a file that is there as long as this process, metrics, and a line in the log."""
        status = self.status()
        file = _file(self.home)
        file.parent.mkdir(exist_ok=True)
        beside = file.with_suffix(".part")
        beside.write_text(json.dumps(status))
        beside.replace(file)
        self.metrics.generation.set(status["generation"])
        self.metrics.refused.set(bool(self.refused))
        champion = status["champion"]
        log.info("serving", extra={"version": champion and champion["version"], "reason": self.refused})

    def leave(self) -> None:
        """Take the file away."""
        _file(self.home).unlink(missing_ok=True)


def workers(home: Path) -> list[dict[str, Any]]:
    """What each worker of the platform serves; the file of one that was killed counts no more."""
    found = []
    for file in sorted((home / WORKERS).glob("*.json")):
        try:
            status = json.loads(file.read_text())
        except FileNotFoundError:  # it has just left
            continue
        if _lives(status["pid"]):
            found.append(status)
        else:
            file.unlink(missing_ok=True)
    return found


def wait_for_workers(home: Path) -> None:
    """Return when every worker serves the routes as they are now, or refuses them; after some seconds in any case."""
    until = time.monotonic() + FOLLOWED_WITHIN
    while _somebody_is_behind(home) and time.monotonic() < until:
        time.sleep(LOOK_EVERY / 10)


def _somebody_is_behind(home: Path) -> bool:
    routes = read_routes(home)
    return routes is not None and any(
        one["generation"] < routes.generation and not one["refused"] for one in workers(home)
    )


def _lives(pid: int) -> bool:
    """One that was killed, and that its parent has not looked after yet, does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _file(home: Path) -> Path:
    return home / WORKERS / f"{os.getpid()}.json"


def _named(model: ServedModel) -> dict[str, Any]:
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
