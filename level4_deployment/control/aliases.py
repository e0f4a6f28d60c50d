"""Who serves: the registry's aliases, followed into the routes of the workers; every move on record."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from mlflow import MlflowClient

from level3_training_pipeline.tracking import registry
from level4_deployment.control.registry_client import UNAVAILABLE
from level4_deployment.delivery.packaging import pull
from level4_deployment.experiment import experiment_store
from level4_deployment.experiment.experiment_store import (
    ABORTED,
    APPROVAL,
    INVALIDATED,
    PROMOTE,
    PROMOTED,
    ROLL_BACK,
    RUNNING,
    Experiment,
)
from level4_deployment.serving.routes import Package, Routes, Split, read_routes, write_routes
from shared.errors import UserError

CHALLENGER = "challenger"  # the alias beside registry.CHAMPION
ALIASES = "aliases"  # the trouble with them
PLATFORM, REGISTRY = "platform", "registry"  # who acts when nobody does, or somebody past the platform


class ConflictError(UserError):
    """Somebody else was first."""


def stale_champion_error(number: int, expected: int | None, now: int | None) -> ConflictError:
    """What a version is told that was compared with a champion that is none any more."""
    return ConflictError(
        f"version {number} was compared with version {expected}, but the champion is now version {now}. "
        f"Remedy: make submit VERSION={number}, for another comparison."
    )


class Aliases:
    """Knows what is to be served, and writes it to the routes that the workers follow.

    Who the champion is, the registry's alias says; who is tried, the record of the experiment, and the alias
    `challenger` only repeats it for people. Whatever cannot be had, or is not whole, changes nothing: the last good
    versions serve on, and `trouble` says why.
    """

    def __init__(
        self, home: Path, open_registry: Callable[[], MlflowClient], log: sa.Engine, *, approval: bool = False
    ) -> None:
        self.home, self.open_registry, self.log, self.approval = home, open_registry, log, approval
        self.routes = read_routes(home)
        self.troubles: dict[str, str] = {}  # by what cannot be done at present; gone once it is done
        self.reconciled = False  # whether what a sudden end has cut off is finished
        self.undecided = False  # whether a closed day waits for its verdict to be carried out
        self.registry_seen = 0.0  # seconds since 1970
        self.lock = threading.RLock()

    @property
    def trouble(self) -> str:
        """All that cannot be done at present, and why; empty while all is well."""
        return "; ".join(list(self.troubles.values()))

    @contextmanager
    def telling(self, what: str, words: str) -> Iterator[None]:
        """Where `what` cannot be done at present, that is told until it is done; it raises nothing."""
        try:
            yield
        except UNAVAILABLE as error:
            self.troubles[what] = f"{words}: {error}"
        else:
            self.troubles.pop(what, None)

    @cached_property
    def client(self) -> MlflowClient:
        """The registry's, opened when first needed: it may be away when the platform starts."""
        return self.open_registry()

    def reconcile(self) -> None:
        """Finish what a sudden end has cut off; a move only where none came after it."""
        with self.lock:
            last = experiment_store.moves(self.log)[-1:]
            known = {one.experiment: one for one in experiment_store.find(self.log)}
            for act in experiment_store.acts(self.log, open_only=True):
                done = act in last or _took_effect(act, known)
                if act in last:
                    self._set_alias(registry.CHAMPION, int(act["new_value"]))
                experiment_store.end_act(
                    self.log, act["number"], experiment_store.DONE if done else experiment_store.CUT_OFF
                )
            self.sync()

    def sync(self) -> None:
        """Follow the aliases: pull, verify, and route to what is whole."""
        with self.lock:
            serving = f"version {self.routes.champion.version} serves on" if self.routes else "nothing serves"
            with self.telling(ALIASES, serving):
                wanted = self._wanted()
                if wanted != self.routes:
                    wanted = replace(wanted, generation=wanted.generation + 1)
                    write_routes(self.home, wanted)
                    self.routes = wanted

    def _wanted(self) -> Routes:
        """The routes that the aliases ask for, of this generation still."""
        champion = registry.by_alias(self.client, registry.CHAMPION)
        self.registry_seen = time.time()
        if champion is None:
            raise UserError("the alias champion names no version. Remedy: make promote VERSION=n.")
        self._notice(champion.number)
        self._settle(champion.number)
        running = self.running()
        against = self._pull_challenger(running) if running else None
        split = Split(running.experiment, running.salt, running.share) if running and against else None
        generation = self.routes.generation if self.routes else 0
        return Routes(generation, pull(champion, self.home), against, split)

    def _pull_challenger(self, running: Experiment) -> Package | None:
        """The challenger's package; one that cannot be had whole ends the experiment, and stops nothing else."""
        try:
            return pull(registry.get(self.client, str(running.challenger)), self.home)
        except UserError as error:
            self._end(running, ABORTED, PLATFORM, str(error))
            return None

    def running(self) -> Experiment | None:
        """The experiment that is under way, if any; there is never more than one."""
        found = experiment_store.find(self.log, RUNNING, APPROVAL)
        return found[0] if found else None

    def promote(self, number: int, who: str, reason: str, expected: int | None = None) -> None:
        """Make a version the champion; with `expected`, only if that one still is. Raises ConflictError.

        Asked again, when it is the champion already, it is no act: whoever was cut off may ask twice.
        """
        with self.lock:
            before = registry.by_alias(self.client, registry.CHAMPION)
            was = before.number if before else None
            if was == number:
                self.sync()
                return
            if expected is not None and was != expected:
                raise stale_champion_error(number, expected, was)
            version = registry.get(self.client, str(number))
            pull(version, self.home)  # what is not whole never gets the alias
            self._act(who, PROMOTE, (was, number), reason, lambda: self._set_alias(registry.CHAMPION, number))
            self.sync()

    def roll_back(self, who: str, reason: str, expected: int | None = None) -> int:
        """Give the alias back to the champion before this one; returns its number.

        With `expected`, only if that one still is the champion: it was taken back already, and who asks may have been
        cut off.
        """
        with self.lock:
            now = registry.by_alias(self.client, registry.CHAMPION)
            if expected is not None and now and now.number != expected:
                self.sync()
                return now.number
            number = self._champion_before(now.number if now else None)
            pull(registry.get(self.client, str(number)), self.home)  # what is not whole never gets the alias
            change = (now.number if now else None, number)
            self._act(who, ROLL_BACK, change, reason, lambda: self._set_alias(registry.CHAMPION, number))
            self.sync()
            return number

    def _notice(self, champion: int) -> None:
        """Put on record that somebody has moved the alias past the platform."""
        before = self.routes.champion.version if self.routes else None
        if before not in (None, champion) and str(champion) != self._last_move():
            why = "the alias was moved past the platform"
            experiment_store.end_act(
                self.log, experiment_store.begin_act(self.log, REGISTRY, PROMOTE, (before, champion), why)
            )

    def _last_move(self) -> str | None:
        moves = experiment_store.moves(self.log)
        return moves[-1]["new_value"] if moves else None

    def _settle(self, champion: int) -> None:
        """An experiment ends when its challenger was promoted, and is void when anything else moved the alias."""
        running = self.running()
        last = experiment_store.moves(self.log)[-1:]
        by_platform = last and last[0]["actor"] != REGISTRY
        promoted = [
            act for act in last if by_platform and (act["action"], act["new_value"]) == (PROMOTE, str(champion))
        ]
        if running and promoted and champion == running.challenger:
            self._end(running, PROMOTED, PLATFORM, promoted[0]["reason"])
        elif running and champion != running.champion:
            self._end(running, INVALIDATED, PLATFORM, f"the champion is now version {champion}")

    def _end(self, running: Experiment, state: str, who: str, reason: str) -> None:
        def end() -> None:
            self.client.delete_registered_model_alias(registry.MODEL, CHALLENGER)
            experiment_store.save(
                self.log, replace(running, state=state, reason=reason)
            )  # last: until then, it goes on

        self._act(who, "end experiment", (running.experiment, state), reason, end)

    def _champion_before(self, now: int | None) -> int:
        changes = [act for act in self._changes(now) if act["old_value"] != act["new_value"]]
        if not changes or changes[-1]["old_value"] is None:
            raise UserError(f"version {now} has no champion before it on record. Remedy: make promote VERSION=n.")
        return int(changes[-1]["old_value"])

    def _changes(self, to: int | None) -> list[dict[str, Any]]:
        """The acts that made a version the champion."""
        return [
            act for act in experiment_store.moves(self.log) if act["action"] == PROMOTE and act["new_value"] == str(to)
        ]

    def _set_alias(self, alias: str, number: int) -> None:
        self.client.set_registered_model_alias(registry.MODEL, alias, str(number))

    def _act(self, who: str, act: str, change: tuple[Any, Any], reason: str, do: Callable[[], object]) -> None:
        begin = experiment_store.try_again if who == PLATFORM else experiment_store.begin_act  # it tries at every look
        number = begin(self.log, who, act, change, reason)
        try:
            do()
        except Exception:
            experiment_store.end_act(self.log, number, experiment_store.CUT_OFF)
            raise
        experiment_store.end_act(self.log, number)


def _took_effect(act: dict[str, Any], known: dict[str, Experiment]) -> bool:
    """Whether the record of the experiment says what the act was to make of it."""
    one = known.get(act["old_value"])
    return act["new_value"] in known or (one is not None and act["new_value"] in (one.state, share_in_words(one.share)))


def share_in_words(share: float) -> str:
    """As an act says it: 0.1 of flights."""
    return f"{share:g} of flights"
