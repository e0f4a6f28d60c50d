"""One turn of the loop, each night: look at the newest closed day, decide, act, tell. Cut off anywhere, it goes on."""

import os
from collections.abc import Callable
from typing import Any

import pandas as pd

from level2_devops import features
from level3_training_pipeline import registry, tracking
from level4_deployment import client, experiments, flow, log, publish, served
from level4_deployment import package as packages
from level5_monitoring import home, monitor, outbox, performance, policy, record
from level5_monitoring.finding import Finding
from level5_monitoring.policy import Decision
from level5_monitoring.reference import Reference
from level5_monitoring.window import closed_days, read_window
from shared.errors import UserError
from shared.settings import Settings

TRIALS = 1  # the middle of the search space, which eight trainings a year do not improve on
# A version of the same recipe, trained on newer flights, needs no proof that it is worth having, only that it is no
# worse: two weeks are enough to see that.
PLAN = {"look_every": 1, "max_days": 14, "share": 0.2}
NIGHT = pd.Timedelta(days=2)  # after the day of departure, it is closed
LONGEST_REASON = 500  # characters, on the platform's audit trail; all of it is on the loop's own record


class Loop:
    """What a turn needs: the platform's log and control plane, and what normal days look like."""

    def __init__(self, settings: Settings, reference: Reference) -> None:
        self.settings, self.reference = settings, reference
        self.home = home.platform(settings)
        self.log = log.open_log(os.environ.get("PREDICTION_LOG") or log.default_url(self.home))
        self.control = client.PlatformClient.at(self.home, "loop")
        self.sink = outbox.sink_of(settings)
        self.models: dict[int, served.ServedModel] = {}
        self.windows: dict[str, pd.DataFrame] = {}

    def due(self) -> list[str]:
        """The closed days that have not been decided upon to the end, oldest first."""
        return closed_days(self.log, after=record.last_done(self.log))

    def turn(self, day: str) -> Decision:
        """Look, decide, act, tell; a day that was decided on before a sudden end is acted on as it was decided."""
        decision = record.decision_of(self.log, day) or self.decide(day)
        record.close(self.log, day, self.act(decision))
        outbox.deliver(self.log, self.sink)
        return decision

    def decide(self, day: str) -> Decision:
        """Look at the day and decide, on record: findings, decision and alerts in one transaction."""
        window = self._window(day)
        week = pd.concat([self._window(one) for one in monitor.week_of(day)]) if monitor.is_end_of_week(day) else None
        findings = monitor.look(day, window, week, self.reference) + self.judge_champion(day, window)
        memory = record.memory(self.log, day)
        decision = policy.decide(day, findings, memory)
        record.record(self.log, decision, findings, policy.alerts_of(decision, memory))
        return decision

    def judge_champion(self, day: str, window: pd.DataFrame) -> list[Finding]:
        """How the champion did on the outcomes of the day and of all days since it became the champion."""
        moves = experiments.moves(self.log)
        if not moves:
            return []
        champion, last = int(moves[-1]["after"]), moves[-1]
        before = int(last["before"]) if last["act"] == "promote" and last["before"] else None
        line = performance.measure(window, champion, self._answers(before))
        if line:
            performance.keep(self.log, line)
        days = performance.days_of(self.log, champion, until=day)
        found = [performance.check_promise(day, champion, days)]
        if before:
            found.append(performance.look_for_disaster(day, champion, before, days))
            found.append(performance.watch(day, champion, before, days, self._tried(champion, before)))
        return found

    def _window(self, day: str) -> pd.DataFrame:
        """The window of a closed day; those of a week are kept, as the week's end asks for them again."""
        if day not in self.windows:
            self.windows = {one: self.windows[one] for one in [*self.windows][1 - monitor.DAYS :]}
            self.windows[day] = read_window(self.log, day, day)
        return self.windows[day]

    def _tried(self, champion: int, before: int) -> list[float]:
        """The gains by day of the experiment that made it the champion, if one did."""
        both = [one for one in experiments.find(self.log) if (one.challenger, one.champion) == (champion, before)]
        return experiments.days_of(self.log, both[-1].experiment)["difference"].dropna().tolist() if both else []

    def act(self, decision: Decision) -> dict[str, Any]:
        """Do what was decided; what the pipeline or the platform refuses is a result too, with its reason."""
        try:
            match decision.kind:
                case "retrain":
                    return self._retrain(decision)
                case "promote":
                    return self._promote(decision)
                case "roll back":
                    self.control.post("/rollback", reason=in_short(decision))
                case "stop":
                    self.control.post("/experiment/stop", reason=in_short(decision))
        except UserError as error:
            return {"refused": str(error)}
        return {}

    def _retrain(self, decision: Decision) -> dict[str, Any]:
        """Level 3's pipeline and level 4's gates, as of the night on which the day is looked at."""
        today = str((pd.Timestamp(decision.day) + NIGHT).date())
        deployed = flow.delivery(today, self.home, TRIALS, f"decision of {decision.day}: {decision.cause}", PLAN)
        return {"version": deployed.version, "experiment": deployed.experiment}

    def _promote(self, decision: Decision) -> dict[str, Any]:
        """Let the newest challenger become the champion: the winner that waits, or one that is no worse."""
        tried = experiments.find(self.log)[-1]
        if tried.state == experiments.APPROVAL:
            self.control.post("/experiment/approve")
        elif tried.state != experiments.PROMOTED:  # cut off between the act and its record, it is done
            self.control.post(f"/versions/{tried.challenger}/promote", reason=in_short(decision))
        return {"version": tried.challenger, "experiment": tried.experiment}

    def _answers(self, version: int | None) -> Callable[[pd.DataFrame], performance.Floats] | None:
        """What a version that served before says of a window's flights, from its verified copy."""
        if version is None:
            return None
        if version not in self.models:
            record_of_it = registry.get(tracking.open_tracking(self.settings), str(version))
            self.models[version] = served.load_served(self.home, publish.pull(record_of_it, self.home))
        model = self.models[version]
        return lambda window: model.score(*packages.inputs_of(features(window)))


def in_short(decision: Decision) -> str:
    """The reason as the platform takes it: eight columns in alarm have more to tell than fits."""
    return f"decision of {decision.day}: {decision.reason}"[:LONGEST_REASON]
