"""The control plane: who is tried against whom, and what follows from what is seen."""

from dataclasses import replace

import pandas as pd

from level3_training_pipeline.tracking import registry
from level4_deployment.control.aliases import (
    CHALLENGER,
    PLATFORM,
    Aliases,
    ConflictError,
    share_in_words,
    stale_champion_error,
)
from level4_deployment.delivery.gates import passed
from level4_deployment.delivery.packaging import pull
from level4_deployment.experiment import experiment_store
from level4_deployment.experiment.design import Plan
from level4_deployment.experiment.experiment_store import (
    ABORTED,
    APPROVAL,
    INCONCLUSIVE,
    INVALIDATED,
    REJECTED,
    Experiment,
)
from level4_deployment.experiment.guardrails import guardrail_violation
from level4_deployment.experiment.labels import SplitError, close_days, read_watermark
from level4_deployment.experiment.verdict import Verdict, judge
from shared.errors import UserError
from shared.settings import NEW_YORK

VERDICT = "verdict"  # the trouble with it
SHADOW_DAYS = 3  # closed days in shadow before users get a challenger's answers
ENDS = {"reject": REJECTED, "inconclusive": INCONCLUSIVE}  # of a verdict that is no promotion


class ControlPlane(Aliases):
    """Runs one experiment at a time on what the aliases serve, and moves them by its verdict."""

    def reconcile(self) -> None:
        """Finish what a sudden end has cut off, and decide what was about to be decided."""
        with self.lock:
            super().reconcile()
            self.undecided = True
            self.judge()

    def submit(self, number: int, plan: Plan | None, who: str, expected: int | None = None) -> Experiment | None:
        """Try a version that has passed the gates against the champion; the first one of all simply becomes it.

        The challenger that is being tried already goes on, in the experiment that was begun, by the plan it was begun
        with. Raises ConflictError while another one is; with `expected`, also when the champion is another one by now
        than the gates have compared it with.
        """
        with self.lock:
            champion = registry.by_alias(self.client, registry.CHAMPION)
            if champion is None and self.routes:  # somebody took the alias away: not the first, and never untried
                raise UserError(
                    f"the alias champion names no version, so there is nothing to try version {number} against. "
                    f"Remedy: make promote VERSION={self.routes.champion.version}, which serves on."
                )
            version = registry.get(self.client, str(number))
            if not passed(version):
                raise UserError(f"version {number} has not passed the gates. Remedy: make submit VERSION={number}.")
            if champion is None:
                self.promote(number, who, "the first: there is no champion to try it against")
                return None
            if champion.number == number:
                raise UserError(f"version {number} is the champion already. Remedy: make level3, for a new version.")
            if plan is None:
                raise UserError(f"version {number} was submitted without a plan. Remedy: make submit VERSION={number}.")
            if running := self.running():
                if running.challenger == number:
                    return running  # whoever asks again, after a crash perhaps, is told what was begun
                raise self._must_wait(number, running, who)
            if expected not in (None, champion.number):
                raise stale_champion_error(number, expected, champion.number)
            pull(version, self.home)
            made = experiment_store.new_experiment(self.log, champion.number, number, plan, who)

            def begin() -> None:
                self._set_alias(CHALLENGER, number)
                experiment_store.save(self.log, made)  # last: from now on it is under way

            self._act(who, "begin experiment", (None, made.experiment), f"version {number} has passed the gates", begin)
            self.sync()
            return made

    def _must_wait(self, number: int, running: Experiment, who: str) -> ConflictError:
        """Put on record that a version came while another is tried; returns what its sender is told."""
        why = f"version {running.challenger} is being tried against version {running.champion}"
        self._act(who, "refuse", (None, number), why, lambda: None)
        return ConflictError(
            f"{why}: version {number} must wait. Remedy: submit it again after the verdict, or end that one: "
            "make stop-experiment."
        )

    def stop(self, who: str, reason: str, state: str = INVALIDATED) -> None:
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
            if share == running.plan.share:
                return running
            why = f"the share was changed from {running.plan.share:g} to {share:g}"
            void = replace(running, state=INVALIDATED, reason=why)
            plan = replace(running.plan, share=share)
            made = experiment_store.new_experiment(self.log, running.champion, running.challenger, plan, who)
            change = running.experiment, made.experiment
            self._act(who, "change share", change, why, lambda: experiment_store.save(self.log, void, made))
            self.sync()
            return made

    def approve(self, who: str) -> int:
        """Let the winner that waits for it become the champion; returns its number."""
        with self.lock:
            waiting = experiment_store.find(self.log, APPROVAL)
            if not waiting:
                raise UserError("no verdict waits for approval. Remedy: make experiments shows how it stands.")
            self._promote_winner(waiting[0], who)
            return waiting[0].challenger

    def look(self) -> None:
        """Finish what was cut off, follow the aliases, guard the experiment.

        What cannot be done is told, and tried again at the next look.
        """
        with self.lock:
            if not self.reconciled:
                with self.telling("start", "what was cut off is not finished"):
                    self.reconcile()
                    self.reconciled = True
            if not self.reconciled:
                return
            self.sync()
            with self.telling("guard", "nobody watches over the experiment"):
                self.guard()
            if self.undecided and self.troubles.keys() <= {VERDICT}:
                self.judge()

    def guard(self) -> None:
        """End the experiment as soon as the challenger is seen to fail, or to be slow, oftener than is tolerated."""
        with self.lock:
            running = self.running()
            if running and (reason := guardrail_violation(self.log, running)):
                self.stop(PLATFORM, reason, ABORTED)

    def judge(self) -> Verdict | None:
        """Close the days that the watermark has passed, and do what their verdict says.

        What cannot be done is told, and tried again at the next look: the outcomes are on the log.
        """
        with self.lock:
            with self.telling(VERDICT, "the verdict is not carried out"):
                return self._close_and_decide()
            self.undecided = True
            return None

    def _close_and_decide(self) -> Verdict | None:
        running = self.running()
        if running is None:
            return None
        try:
            closed = close_days(self.log, running)
        except SplitError as error:
            self.stop(PLATFORM, str(error))
            return None
        if not (closed or self.undecided):
            return None
        verdict = self._decide(running)
        self.undecided = False
        return verdict

    def _decide(self, running: Experiment) -> Verdict:
        """Do what the closed days say; the same days, the same decision, however often it is asked for."""
        days = experiment_store.days_of(self.log, running.experiment)
        verdict = verdict_on(running.plan, days)
        if running.state != APPROVAL:  # else it waits for a person, also on a platform that was started without
            self._carry_out(verdict, running, len(days))
        self.sync()
        return verdict

    def _carry_out(self, verdict: Verdict, running: Experiment, days: int) -> None:
        decided = replace(running, reason=verdict.reason)
        if verdict.kind == "promote" and not self.approval:
            self._promote_winner(decided, PLATFORM)
        elif verdict.kind == "promote":
            waiting = replace(decided, state=APPROVAL)
            change = (running.experiment, APPROVAL)
            self._act(PLATFORM, "wait", change, verdict.reason, lambda: experiment_store.save(self.log, waiting))
        elif verdict.kind in ENDS:
            self._end(running, ENDS[verdict.kind], PLATFORM, verdict.reason)
        elif running.share == 0 and days >= SHADOW_DAYS:
            self._go_live(running)

    def _go_live(self, running: Experiment) -> None:
        share = running.plan.share
        today = str(pd.Timestamp(read_watermark(self.log) or 0.0, unit="s", tz=NEW_YORK).date())  # in the stream
        reason = f"live: the challenger answers {share:.0%} of flights"
        live = replace(running, share=share, live_from=today, reason=reason)
        change, why = (running.experiment, share_in_words(share)), f"{SHADOW_DAYS} days in shadow without trouble"
        self._act(PLATFORM, "go live", change, why, lambda: experiment_store.save(self.log, live))

    def _promote_winner(self, winner: Experiment, who: str) -> None:
        self.promote(winner.challenger, who, winner.reason, expected=winner.champion)


def verdict_on(plan: Plan, days: pd.DataFrame) -> Verdict:
    """The verdict after these closed days; its split is that of the days it was found on, whatever came after them."""
    found_on = judge(plan, days, {"champion": 0, "challenger": 0}).day
    evidence = (days["flights"] > 0).astype(int)
    arms = days[evidence.cumsum() - evidence < found_on][["champion_arm", "challenger_arm"]].sum()
    return judge(plan, days, {"champion": int(arms.champion_arm), "challenger": int(arms.challenger_arm)})
