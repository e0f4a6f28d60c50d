"""The control plane: who serves, who is tried against whom, and what follows from what is seen; every act on record."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import sqlalchemy as sa
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from level3_training_pipeline import registry, tracking
from level4_deployment import experiments
from level4_deployment.experiments import (
    ABORTED,
    APPROVAL,
    INCONCLUSIVE,
    PROMOTED,
    REJECTED,
    RUNNING,
    VOID,
    Experiment,
)
from level4_deployment.guardrails import tripped
from level4_deployment.outcomes import close_days
from level4_deployment.plan import Plan
from level4_deployment.publish import pull
from level4_deployment.routes import Package, Routes, Split, read_routes, write_routes
from level4_deployment.verdict import Verdict, judge
from shared.errors import UserError
from shared.settings import Settings

CHALLENGER = "challenger"  # the alias beside registry.CHAMPION
SHADOW_DAYS = 3  # closed days in shadow before users get a challenger's answers
PLATFORM = "platform"  # who acts when nobody does
ENDS = {"promote": PROMOTED, "reject": REJECTED, "inconclusive": INCONCLUSIVE}


def registry_client(settings: Settings) -> MlflowClient:
    """The registry's client: what runs beside users' requests waits a second for another writer, and no longer."""
    patient = tracking.tracking_uri(settings)
    mlflow.set_tracking_uri(patient)  # for the files of a new version, which are fetched once
    uri = patient.replace("timeout=60", "timeout=1")
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


class ConflictError(UserError):
    """Somebody else was first."""


class Platform:
    """Decides what is served, and writes it to the routes that the workers follow.

    The registry's aliases are the truth. Whatever cannot be had from there, or is not whole, changes nothing: the last
    good versions serve on, and `trouble` says why.
    """

    def __init__(self, home: Path, client: MlflowClient, log: sa.Engine, *, approval: bool = False) -> None:
        self.home, self.client, self.log, self.approval = home, client, log, approval
        self.routes = read_routes(home)
        self.trouble = ""
        self.registry_seen = 0.0  # seconds since 1970
        self.lock = threading.RLock()

    def reconcile(self) -> None:
        """Finish what a sudden end has cut off: an act begun is an act to be done."""
        with self.lock:
            for act in experiments.acts(self.log, open_only=True):
                if act["act"] in ("promote", "roll back"):
                    self._set_alias(registry.CHAMPION, int(act["after"]))
                experiments.end_act(self.log, act["number"])
            self.sync()

    def sync(self) -> None:
        """Follow the aliases: pull, verify, and route to what is whole."""
        with self.lock:
            try:
                wanted = self._wanted()
            except (MlflowException, sa.exc.SQLAlchemyError, UserError, OSError) as error:
                serving = f"version {self.routes.champion.version} serves on" if self.routes else "nothing serves"
                self.trouble = f"{serving}: {error}"
                return
            self.trouble = ""
            if wanted != self.routes:
                self.routes = replace(wanted, generation=wanted.generation + 1)
                write_routes(self.home, self.routes)

    def _wanted(self) -> Routes:
        """The routes that the aliases ask for, of this generation still."""
        champion = registry.by_alias(self.client, registry.CHAMPION)
        self.registry_seen = time.time()
        if champion is None:
            raise UserError("the alias champion names no version. Remedy: make promote VERSION=n.")
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
        found = experiments.find(self.log, RUNNING, APPROVAL)
        return found[0] if found else None

    def promote(self, number: int, who: str, reason: str, expected: int | None = None) -> None:
        """Make a version the champion; with `expected`, only if that one still is. Raises ConflictError."""
        with self.lock:
            before = registry.by_alias(self.client, registry.CHAMPION)
            was = before.number if before else None
            if expected is not None and was != expected:
                raise ConflictError(
                    f"version {number} was compared with version {expected}, but the champion is now version {was}. "
                    f"Remedy: submit version {number} again, against that one."
                )
            version = registry.get(self.client, str(number))
            pull(version, self.home)  # what is not whole never gets the alias
            self._act(who, "promote", (was, number), reason, lambda: self._set_alias(registry.CHAMPION, number))
            self.sync()

    def roll_back(self, who: str, reason: str) -> int:
        """Give the alias back to the champion before this one; returns its number."""
        with self.lock:
            now = registry.by_alias(self.client, registry.CHAMPION)
            number = self._champion_before(now.number if now else None)
            change = (now.number if now else None, number)
            self._act(who, "roll back", change, reason, lambda: self._set_alias(registry.CHAMPION, number))
            self.sync()
            return number

    def submit(self, number: int, plan: Plan | None, who: str) -> Experiment | None:
        """Try a version that has passed the gates against the champion; the first one of all simply becomes it."""
        with self.lock:
            champion = registry.by_alias(self.client, registry.CHAMPION)
            if champion is None:
                self.promote(number, who, "the first: there is no champion to try it against")
                return None
            if plan is None:
                raise UserError(f"version {number} was submitted without a plan. Remedy: make submit VERSION={number}.")
            if running := self.running():
                raise ConflictError(
                    f"version {running.challenger} is being tried against version {running.champion}: version {number} "
                    "must wait. Remedy: submit it again after the verdict, or end that one: make stop-experiment."
                )
            version = registry.get(self.client, str(number))
            pull(version, self.home)
            made = experiments.new_experiment(champion.number, number, plan, who)

            def begin() -> None:
                experiments.save(self.log, made)
                self._set_alias(CHALLENGER, number)

            self._act(who, "begin experiment", (None, made.experiment), f"version {number} has passed the gates", begin)
            self.sync()
            return made

    def stop(self, who: str, reason: str, state: str = VOID) -> None:
        """End the experiment under way without a verdict."""
        with self.lock:
            if running := self.running():
                self._end(running, state, who, reason)
                self.sync()

    def set_share(self, share: float, who: str) -> Experiment:
        """Ask for another share of flights: the experiment under way is void, and a new one begins."""
        with self.lock:
            running = self.running()
            if running is None:
                raise UserError("no experiment is under way. Remedy: make submit VERSION=n.")
            self.stop(who, f"the share was changed from {running.plan.share:g} to {share:g}")
            made = self.submit(running.challenger, replace(running.plan, share=share), who)
            assert made  # noqa: S101 - there is a champion: it was being challenged
            return made

    def approve(self, who: str) -> int:
        """Let the winner that waits for it become the champion; returns its number."""
        with self.lock:
            waiting = experiments.find(self.log, APPROVAL)
            if not waiting:
                raise UserError("no verdict waits for approval. Remedy: make experiment shows how it stands.")
            self._promote_winner(waiting[0], who)
            return waiting[0].challenger

    def guard(self) -> None:
        """End the experiment as soon as the challenger is seen to fail, or to be slow, oftener than is tolerated."""
        with self.lock:
            running = self.running()
            if running and (reason := tripped(self.log, running)):
                self.stop(PLATFORM, reason, ABORTED)

    def judge(self) -> Verdict | None:
        """Close the days that the watermark has passed, and do what their verdict says."""
        with self.lock:
            running = self.running()
            if running is None or not close_days(self.log, running):
                return None
            days = experiments.days_of(self.log, running.experiment)
            live = days[["champion_arm", "challenger_arm"]].sum()
            verdict = judge(running.plan, days, {"champion": live.champion_arm, "challenger": live.challenger_arm})
            if verdict.kind == "promote" and self.approval:
                experiments.save(self.log, replace(running, state=APPROVAL, reason=verdict.reason))
            elif verdict.kind == "promote":
                self._promote_winner(replace(running, reason=verdict.reason), PLATFORM)
            elif verdict.kind in ENDS:
                self._end(running, ENDS[verdict.kind], PLATFORM, verdict.reason)
            elif running.share == 0 and len(days) >= SHADOW_DAYS:
                self._go_live(running)
            self.sync()
            return verdict

    def _go_live(self, running: Experiment) -> None:
        share = running.plan.share
        live = replace(running, share=share, reason=f"live: the challenger answers {share:.0%} of flights")
        reason = f"{SHADOW_DAYS} days in shadow without trouble"
        self._act(PLATFORM, "go live", (0.0, share), reason, lambda: experiments.save(self.log, live))

    def _promote_winner(self, winner: Experiment, who: str) -> None:
        self.promote(winner.challenger, who, winner.reason, expected=winner.champion)

    def _end(self, running: Experiment, state: str, who: str, reason: str) -> None:
        def end() -> None:
            experiments.save(self.log, replace(running, state=state, reason=reason))
            self.client.delete_registered_model_alias(registry.MODEL, CHALLENGER)

        self._act(who, "end experiment", (running.experiment, state), reason, end)

    def _settle(self, champion: int) -> None:
        """An experiment ends when its challenger has become the champion, and is void when anything else has."""
        running = self.running()
        if running and champion == running.challenger:
            self._end(running, PROMOTED, PLATFORM, self._changes(champion)[-1]["reason"])
        elif running and champion != running.champion:
            self._end(running, VOID, PLATFORM, f"the champion is now version {champion}")

    def _champion_before(self, now: int | None) -> int:
        changes = self._changes(now)
        if not changes or changes[-1]["before"] is None:
            raise UserError(f"version {now} has no champion before it on record. Remedy: make promote VERSION=n.")
        return int(changes[-1]["before"])

    def _changes(self, to: int | None) -> list[dict[str, Any]]:
        """The acts that made a version the champion."""
        return [act for act in experiments.acts(self.log) if act["act"] == "promote" and act["after"] == str(to)]

    def _set_alias(self, alias: str, number: int) -> None:
        self.client.set_registered_model_alias(registry.MODEL, alias, str(number))

    def _act(self, who: str, act: str, change: tuple[Any, Any], reason: str, do: Callable[[], object]) -> None:
        number = experiments.begin_act(self.log, who, act, change, reason)
        do()
        experiments.end_act(self.log, number)
