"""The control plane: which version serves, which one is tried against it, and what follows from what is measured."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pandas as pd
import sqlalchemy as sa

from level3_training_pipeline.tracking.registry import CHAMPION
from level4_deployment.control import audit
from level4_deployment.control.audit import PLATFORM, PROMOTE, REGISTRY, ROLL_BACK, Action
from level4_deployment.control.registry_client import ModelRegistry, UnavailableError, not_passed
from level4_deployment.experiment import experiment_store
from level4_deployment.experiment.design import Plan, Verdict, judge
from level4_deployment.experiment.experiment_store import (
    APPROVAL,
    FAILED,
    INCONCLUSIVE,
    LOST,
    PROMOTED,
    REJECTED,
    RUNNING,
    STOPPED,
    Experiment,
)
from level4_deployment.experiment.guardrails import guardrail_violation
from level4_deployment.experiment.labels import SplitError, close_days, read_watermark
from level4_deployment.prediction_log import AUDIT
from level4_deployment.serving.requests import code_digest
from level4_deployment.serving.routes import ROUTES, Package, Routes, Split, read_routes, write_routes
from shared.errors import UserError
from shared.settings import NEW_YORK

CHALLENGER = "challenger"  # the alias beside CHAMPION: for people only, the record of the experiment decides
UNAVAILABLE = (sa.exc.SQLAlchemyError, UserError, OSError)  # registry, log or a package cannot be used at present
# Steps that can fail, and are retried.
START, ROUTES_FILE, ALIASES, GUARD, VERDICT = "start", "routes", "aliases", "guard", "verdict"
SHADOW_DAYS = 3  # closed days in shadow before users get a challenger's answers
ENDS = {"reject": REJECTED, "inconclusive": INCONCLUSIVE}  # the state after a verdict that promotes nothing


class ConflictError(UserError):
    """Another request or decision came first."""


def stale_champion_error(number: int, expected: int | None, now: int | None) -> ConflictError:
    """The champion has changed since this version was compared with it."""
    return ConflictError(
        f"version {number} was compared with version {expected}, but the champion is now version {now}. "
        f"Remedy: make submit VERSION={number}, for another comparison."
    )


class ControlPlane:
    """Decides what the workers serve, and writes it to the routes that they follow; one experiment at a time.

    The champion is the version that the registry's alias names. The challenger is that of the experiment on record.
    What cannot be read, or is not whole, changes nothing: the last good versions keep serving, and `degraded` says why.
    Commands change something and record it; queries change nothing. Read `poll` first, which runs twice a second, then
    `judge` (from labels to a promotion), then the commands of people and of the pipeline.
    """

    def __init__(self, home: Path, registry: ModelRegistry, log: sa.Engine, *, approval: bool = False) -> None:
        self.home, self.registry, self.log, self.approval = home, registry, log, approval
        self.code = code_digest()  # at the start: what the workers compute features with
        self.problems: dict[str, str] = {}  # why a step fails at present, by step
        self.routes: Routes | None = None
        with self.mark_degraded_on_error(ROUTES_FILE, "the routes are written again from the registry"):
            self.routes = read_routes(home)
        self.caught_up = False  # whether the actions that a sudden end has cut off are finished
        self.lock = threading.RLock()

    # Queries

    @property
    def degraded(self) -> str:
        """Which steps fail at present, and why; empty while all is well."""
        return "; ".join(list(self.problems.values()))

    def running(self) -> Experiment | None:
        """The experiment that has not ended, if there is one; there is never more than one."""
        found = experiment_store.find(self.log, RUNNING, APPROVAL)
        return next((one for one in found if one.state != STOPPED), None)  # that cannot be read

    # What runs at every poll

    def poll(self) -> None:
        """Finish what was cut off, then follow the alias, check the guardrails, and carry out a verdict that waits.

        A step that fails is retried at the next poll.
        """
        with self.lock:
            if not self.caught_up:
                with self.mark_degraded_on_error(START, "actions that were cut off are not finished"):
                    self._finish_what_was_cut_off()
                    self.caught_up = True
            if not self.caught_up:
                return
            if self.routes:
                with self.mark_degraded_on_error(ROUTES_FILE, "the routes were written again"):
                    if write_routes(self.home, self.routes):
                        raise UserError(f"{self.home / ROUTES} was garbled, gone, or changed by something else")
            self.follow_alias()
            with self.mark_degraded_on_error(GUARD, "the guardrails are not checked"):
                running = self.running()
                if running and (reason := guardrail_violation(self.log, running)):
                    self.stop(PLATFORM, reason, FAILED)
            if self.problems.keys() == {VERDICT}:
                self.judge()

    @contextmanager
    def mark_degraded_on_error(self, step: str, effect: str) -> Iterator[None]:
        """An error in the block makes the platform degraded until the same step succeeds; nothing is raised."""
        try:
            yield
        except UNAVAILABLE as error:
            self.problems[step] = f"{effect}: {error}"
        else:
            self.problems.pop(step, None)

    def _finish_what_was_cut_off(self) -> None:
        """Finish the actions that a sudden end has cut off; a move of the alias only if no other came after it."""
        last_move = audit.last_move(self.log)
        experiments = {one.experiment: one for one in experiment_store.find(self.log)}
        for action in audit.trail(self.log, AUDIT.c.status == audit.OPEN):
            if redo := action == last_move:
                self.registry.set_alias(CHAMPION, action["version"])
            done = redo or audit.took_effect(action, experiments)
            audit.close(self.log, action["number"], audit.DONE if done else audit.CUT_OFF)
        self.follow_alias()
        self.judge(again=True)

    def follow_alias(self) -> None:
        """Bring record and routes in line with the alias champion."""
        serving = f"version {self.routes.champion.version} keeps serving" if self.routes else "nothing serves"
        with self.lock, self.mark_degraded_on_error(ALIASES, serving):
            champion = self.registry.champion()
            if champion is None:
                remedy = "make promote VERSION=n" if self.routes else "make level3, then make deliver VERSION=1"
                raise UserError(f"the alias champion names no version. Remedy: {remedy}.")
            self._record_bypass(champion.number)
            self._end_unreadable()
            challenger = self._challenger(champion.number)
            running = self.running()
            split = Split(running.experiment, running.salt, running.share) if running else None
            generation = self.routes.generation if self.routes else 0
            target = Routes(generation, self.registry.pull(champion), challenger, split)
            if target != self.routes:
                target = replace(target, generation=generation + 1)
                write_routes(self.home, target)
                self.routes = target

    def _record_bypass(self, champion: int) -> None:
        """Record a move of the alias that was made in the registry itself, past the platform."""
        last_move = audit.last_move(self.log)
        known = last_move["version"] if last_move else self.routes.champion.version if self.routes else champion
        if known != champion:
            why = "the alias was moved past the platform"
            audit.record(self.log, audit.move(REGISTRY, PROMOTE, known, champion, why))

    def _end_unreadable(self) -> None:
        """End the experiments on record whose plan or verdict cannot be read: they are found as stopped."""
        for one in experiment_store.find(self.log, RUNNING, APPROVAL):
            if one.state == STOPPED:
                with self._on_record(self._action(audit.STOP, one, one.reason, (RUNNING, STOPPED))):
                    experiment_store.save(self.log, one)

    def _challenger(self, champion: int) -> Package | None:
        """The package that is tried against this champion, if one is.

        Ends the experiment if its champion was replaced, which a promotion does itself unless it was cut off, or if its
        challenger cannot be used.
        """
        running = self.running()
        if running is None:
            return None
        if running.champion != champion:
            move = audit.last_move(self.log)
            if move and running.challenger == champion and move["action"] == PROMOTE and move["actor"] != REGISTRY:
                self._end(running, PROMOTED, PLATFORM, move["reason"])
            else:
                self._end(running, STOPPED, PLATFORM, f"the champion is now version {champion}")
            return None
        try:
            return self.registry.pull(self.registry.version(running.challenger))
        except UnavailableError:
            raise
        except UserError as error:
            self._end(running, FAILED, PLATFORM, str(error))
            return None

    # From labels to what follows: the days are closed, judged, and the verdict is carried out

    def judge(self, *, again: bool = False) -> Verdict | None:
        """Close the days that the watermark has passed, judge them, and carry out their verdict; None without any.

        Equal days have an equal verdict, so whatever an error or a sudden end has cut off is done again from the
        beginning. Without a new day they are judged only if their verdict was not carried out, or, with `again`, if
        nobody knows: at a start.
        """
        with self.lock, self.mark_degraded_on_error(VERDICT, "the verdict is not carried out"):
            running = self.running()
            if running is None:
                return None
            try:
                closed = close_days(self.log, running)
            except SplitError as error:
                self.stop(PLATFORM, str(error))
                return None
            if not (closed or again or VERDICT in self.problems):
                return None
            days = experiment_store.days_of(self.log, running.experiment)
            verdict = judge(running.plan, days)
            self._carry_out(verdict, running, len(days))
            self.follow_alias()
            return verdict
        return None  # after an error

    def _carry_out(self, verdict: Verdict, running: Experiment, days: int) -> None:
        """What follows from a verdict: the live split, an end, a promotion, or a wait for approval of it."""
        if running.state == APPROVAL:  # it waits for a person, also where the platform now needs no approval
            return
        if verdict.kind in ("running", "blocked"):
            if running.share == 0 and days >= SHADOW_DAYS:
                self._go_live(running)
            return
        reason, running = verdict.reason(running.plan), replace(running, verdict=verdict)
        experiment_store.save(self.log, running)  # first: a later attempt to end it has the figures
        if verdict.kind != "promote":
            self._end(running, ENDS[verdict.kind], PLATFORM, reason)
        elif self.approval:
            with self._on_record(self._action(audit.AWAIT_APPROVAL, running, reason, (running.state, APPROVAL))):
                experiment_store.save(self.log, replace(running, state=APPROVAL, reason=reason))
        else:
            self.promote(running.challenger, PLATFORM, reason, expected=running.champion)

    def _go_live(self, running: Experiment) -> None:
        share, why = running.plan.share, f"{SHADOW_DAYS} days in shadow, no violation"
        today = str(pd.Timestamp(read_watermark(self.log) or 0.0, unit="s", tz=NEW_YORK).date())  # of the replay
        reason = f"live: the challenger answers {share:.0%} of flights"
        with self._on_record(self._action(audit.GO_LIVE, running, why, (f"{running.share:g}", f"{share:g}"))):
            experiment_store.save(self.log, replace(running, share=share, live_from=today, reason=reason))

    # What people and the pipeline ask for

    def submit(self, number: int, plan: Plan | None, actor: str, expected: int | None = None) -> Experiment | None:
        """Try a version that has passed the gates against the champion; the very first version becomes the champion.

        Submitted again while it is tried, it continues in its experiment, by the plan of that one. Raises
        ConflictError while another version is tried; with `expected`, also if the champion is another one by now.
        """
        with self.lock:
            champion = self.registry.champion()
            if champion is None and self.routes:  # the alias was removed: this is not the first version
                raise UserError(
                    f"the alias champion names no version, so there is nothing to try version {number} against. "
                    f"Remedy: make promote VERSION={self.routes.champion.version}, which keeps serving."
                )
            version = self.registry.version(number)
            if why := not_passed(version):
                raise UserError(f"version {number} {why}. Remedy: make submit VERSION={number} puts it through them.")
            if champion is None:
                self.promote(number, actor, "there is no champion to try it against")
                return None
            if champion.number == number:
                raise UserError(f"version {number} is the champion already. Remedy: submit another version.")
            if plan is None:
                raise UserError(f"version {number} was submitted without a plan. Remedy: make submit VERSION={number}.")
            if running := self.running():
                if running.challenger == number:
                    return running  # a client that was cut off may submit twice
                raise self._refuse(number, running, actor)
            if expected not in (None, champion.number):
                raise stale_champion_error(number, expected, champion.number)
            self.registry.pull(version)
            made = experiment_store.new_experiment(self.log, champion.number, number, plan, actor)
            why = f"version {number} has passed the gates"
            with self._on_record(Action(actor, audit.BEGIN, why, number, made.experiment, None, made.state)):
                self.registry.set_alias(CHALLENGER, number)
                experiment_store.save(self.log, made)  # last: the experiment runs from now on
            self.follow_alias()
            return made

    def _refuse(self, number: int, running: Experiment, actor: str) -> ConflictError:
        """Record that a version was submitted while another one is tried; returns the error for its sender."""
        why = f"version {running.challenger} is being tried against version {running.champion}"
        audit.record(self.log, Action(actor, audit.REFUSE, why, number))
        return ConflictError(
            f"{why}: version {number} must wait. Remedy: submit it again after the verdict, or stop that experiment: "
            "make stop-experiment."
        )

    def promote(self, number: int, actor: str, reason: str, expected: int | None = None) -> str:
        """Make a version the champion; with `expected`, only if that one still is. Raises ConflictError.

        If it is the champion already, nothing is done or recorded: a client that was cut off may ask twice.
        Returns and records what speaks against a version that is promoted by hand, or "".
        """
        with self.lock:
            champion = self.registry.champion()
            before = champion.number if champion else None
            if before == number:
                self.follow_alias()
                return ""
            if expected is not None and before != expected:
                raise stale_champion_error(number, expected, before)
            against = "" if actor == PLATFORM else self._against(number)
            although = f"; although it {against}" if against else ""
            self._move_champion(actor, PROMOTE, before, number, reason + although)
            return against

    def _against(self, number: int) -> str:
        """How a version has lost its experiment or failed at the gates; "" where neither is on record."""
        tried = [one for one in experiment_store.find(self.log) if one.challenger == number]
        if tried and tried[-1].state in LOST:
            return f"was {tried[-1].state} in {tried[-1].experiment}"
        return not_passed(self.registry.version(number))

    def roll_back(self, actor: str, reason: str, expected: int | None = None) -> int:
        """Make the version before this champion the champion again; returns its number.

        With `expected`, only if that one still is the champion: else it was rolled back already.
        """
        with self.lock:
            champion = self.registry.champion()
            if expected is not None and champion and champion.number != expected:
                self.follow_alias()
                return champion.number
            now = champion.number if champion else None
            before = audit.champion_before(self.log, now)
            if before is None:
                raise UserError(f"version {now} has no champion before it on record. Remedy: make promote VERSION=n.")
            self._move_champion(actor, ROLL_BACK, now, before, reason)
            return before

    def _move_champion(self, actor: str, action: str, old: int | None, new: int, reason: str) -> None:
        """Give the alias to a version whose package is whole, and end the experiment that this decides."""
        self.registry.pull(self.registry.version(new))
        with self._on_record(audit.move(actor, action, old, new, reason)):
            self.registry.set_alias(CHAMPION, new)
        running = self.running()
        if running and (action, new) == (PROMOTE, running.challenger):
            with self.mark_degraded_on_error(ALIASES, "the experiment that this decides has not ended"):
                self._end(running, PROMOTED, PLATFORM, reason)
        self.follow_alias()

    def approve(self, actor: str) -> None:
        """Let the winner that waits for approval become the champion."""
        with self.lock:
            waiting = experiment_store.find(self.log, APPROVAL)
            if not waiting:
                raise UserError("no verdict waits for approval. Remedy: make experiments shows the experiments.")
            self.promote(waiting[0].challenger, actor, waiting[0].reason, expected=waiting[0].champion)

    def stop(self, actor: str, reason: str, state: str = STOPPED) -> None:
        """Stop the running experiment: it ends without a verdict."""
        with self.lock:
            if running := self.running():
                self._end(running, state, actor, reason)
                self.follow_alias()

    def change_traffic_split(self, share: float, actor: str) -> Experiment:
        """Let the challenger answer another share of flights: the running experiment is stopped, a new one begins."""
        with self.lock:
            running = self.running()
            if running is None:
                raise UserError("no experiment is running. Remedy: make submit VERSION=n.")
            if share == running.plan.share:
                return running
            why = f"the share was changed from {running.plan.share:g} to {share:g}"
            over = replace(running, state=STOPPED, reason=why)
            plan = replace(running.plan, share=share)
            made = experiment_store.new_experiment(self.log, running.champion, running.challenger, plan, actor)
            shares = f"{running.plan.share:g}", f"{share:g}"
            with self._on_record(self._action(audit.CHANGE_SPLIT, made, why, shares, actor)):
                experiment_store.save(self.log, over, made)
            self.follow_alias()
            return made

    # Changes, each on record

    def _end(self, running: Experiment, state: str, actor: str, reason: str) -> None:
        action = audit.STOP if state in (STOPPED, FAILED) else audit.END
        with self._on_record(self._action(action, running, reason, (running.state, state), actor)):
            self.registry.delete_alias(CHALLENGER)
            experiment_store.save(self.log, replace(running, state=state, reason=reason))  # last: until then, it runs

    @staticmethod
    def _action(name: str, about: Experiment, reason: str, change: tuple[str, str], actor: str = PLATFORM) -> Action:
        return Action(actor, name, reason, about.challenger, about.experiment, *change)

    @contextmanager
    def _on_record(self, action: Action) -> Iterator[None]:
        """The block does what the action says: recorded before it, closed after it; cut off if the block fails."""
        number = audit.begin(self.log, action)
        try:
            yield
        except Exception:
            audit.close(self.log, number, audit.CUT_OFF)
            raise
        audit.close(self.log, number)
