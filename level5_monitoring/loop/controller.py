"""One turn of the loop, each night: look at the newest closed day, decide, act, tell. Cut off anywhere, it goes on."""

from collections.abc import Callable
from typing import Any

import pandas as pd

from level2_devops.features import features
from level3_training_pipeline.tracking import mlflow_runs, registry
from level4_deployment.control import client
from level4_deployment.delivery import flow, gates, packaging
from level4_deployment.experiment import experiment_store
from level4_deployment.serving import model as served
from level4_deployment.serving import package as packages
from level5_monitoring import config
from level5_monitoring.loop import loop_store, outbox, policy
from level5_monitoring.loop.alerts import alerts_of, alerts_of_result
from level5_monitoring.loop.policy import Decision
from level5_monitoring.loop.policy_state import load_policy_state
from level5_monitoring.monitors import daily, performance
from level5_monitoring.monitors.monitor_result import MonitorResult, version_of
from level5_monitoring.monitors.reference import Reference
from level5_monitoring.monitors.window import closed_days, read_window
from shared.errors import UserError
from shared.settings import Settings

TRIALS = 1  # the middle of the search space, which eight trainings a year do not improve on
# A version of the same recipe, trained on newer flights, needs no proof that it is worth having, only that it is no
# worse: two weeks are enough to see that.
PLAN = {"look_every": 1, "max_days": 14, "share": 0.5, "smallest_gain": 0.0}
NIGHT = pd.Timedelta(days=2)  # after the day of departure, it is closed
LONGEST_REASON = 500  # characters, on the platform's audit trail; all of it is on the loop's own record


class LoopController:
    """What a turn needs: the platform's log and control plane, and what normal days look like."""

    def __init__(self, settings: Settings, reference: Reference) -> None:
        self.settings, self.reference = settings, reference
        self.home = config.platform(settings)
        self.log = config.open_log(settings)
        self.control = client.PlatformClient.at(self.home, "loop")
        self.sink = outbox.sink_of(settings)
        self.models: dict[int, served.ServedModel] = {}
        self.windows: dict[str, pd.DataFrame] = {}

    def due(self) -> list[str]:
        """The closed days that have not been decided upon to the end, oldest first."""
        return closed_days(self.log, after=loop_store.last_done(self.log))

    def turn(self, day: str) -> Decision:
        """Look, decide, tell, act; a day that was decided on before a sudden end is acted on as it was decided."""
        decision = loop_store.decision_of(self.log, day) or self.decide(day)
        self.tell()  # now: who is paged does not wait for a training
        result = self.act(decision)
        loop_store.close_decision(self.log, day, result, alerts_of_result(decision, result))
        self.tell()
        return decision

    def tell(self) -> None:
        """Deliver the alerts that wait."""
        outbox.deliver(self.log, self.sink)

    def decide(self, day: str) -> Decision:
        """Look at the day and decide, on record: findings, decision and alerts in one transaction."""
        window = self._window(day)
        week = pd.concat([self._window(one) for one in daily.week_of(day)]) if daily.is_end_of_week(day) else None
        findings = daily.run_monitors(day, window, week, self.reference)
        findings += self.judge_champion(day, window, doubt_in(findings))
        policy_state = load_policy_state(self.log, day)
        decision = policy.decide(day, findings, policy_state)
        return loop_store.record_decision(
            self.log, decision, findings, alerts_of(decision, policy_state, self.settings.workspace)
        )

    def judge_champion(self, day: str, window: pd.DataFrame, excluded_reason: str) -> list[MonitorResult]:
        """How the champion did on the outcomes of the day and of all days before it; doubt: of LIVE."""
        moves = experiment_store.moves(self.log)
        if not moves:
            return []
        champion, last = int(moves[-1]["new_value"]), moves[-1]
        before = int(last["old_value"]) if last["action"] == "promote" and last["old_value"] else None
        line = performance.measure(window, champion, self._answers(before))
        if line:
            performance.keep(self.log, line | {"previous_version": before, "excluded_reason": excluded_reason})
        days = performance.days_of(self.log, champion, until=day)
        found = [performance.check_expected_loss(day, champion, days)]
        if before and len(beside := performance.beside(days, before)) <= performance.COMPARED_DAYS:
            found.append(performance.check_severe_regression(day, champion, before, beside))
            found.append(performance.check_regression(day, champion, before, beside, self._tried(champion, before)))
        return found

    def _window(self, day: str) -> pd.DataFrame:
        """The window of a closed day; those of a week are kept, as the week's end asks for them again."""
        if day not in self.windows:
            self.windows = {one: self.windows[one] for one in [*self.windows][1 - daily.DAYS :]}
            self.windows[day] = read_window(self.log, day, day)
        return self.windows[day]

    def _tried(self, champion: int, before: int) -> list[float]:
        """The gains by day of the experiment that made it the champion, if one did."""
        both = [one for one in experiment_store.find(self.log) if (one.challenger, one.champion) == (champion, before)]
        return (
            experiment_store.days_of(self.log, both[-1].experiment)["mean_loss_difference"].dropna().tolist()
            if both
            else []
        )

    def act(self, decision: Decision) -> dict[str, Any]:
        """Do what was decided. What is refused, or could not be done, is a result too, with its reason.

        Whatever fails, for it would fail again and again, and nobody be told. Ctrl-C and a cancelled flow are no
        failures: the decision stays open, and is acted upon at the next start.
        """
        try:
            return self._do(decision)
        except (client.RefusedError, gates.GateError) as error:
            return {policy.REFUSED: str(error)}
        except UserError as error:
            return {policy.FAILED: str(error)}
        except Exception as error:  # noqa: BLE001 - registry, disk, database, a bug: on record, and told
            return {policy.FAILED: f"{type(error).__name__}: {error}"}

    def _do(self, decision: Decision) -> dict[str, Any]:
        match decision.kind:
            case "retrain":
                return self._retrain(decision)
            case "promote":
                return self._promote(decision)
            case "roll_back":
                return self._roll_back(decision)
            case "halt_experiment":
                self.control.post("/experiment/stop", reason=truncate_reason(decision))
        return {}

    def _retrain(self, decision: Decision) -> dict[str, Any]:
        """Level 3's pipeline and level 4's gates, as of the night on which the day is looked at."""
        today = str((pd.Timestamp(decision.day) + NIGHT).date())
        deployed = flow.delivery(today, self.home, TRIALS, f"decision of {decision.day}: {decision.cause}", PLAN)
        return {"version": deployed.version, "experiment": deployed.experiment}

    def _promote(self, decision: Decision) -> dict[str, Any]:
        """Let a challenger become the champion: the winner that waits, or one that is no worse."""
        (tried,) = (one for one in experiment_store.find(self.log) if one.experiment == decision.target)
        match decision.cause, tried.state:
            case "verdict", experiment_store.APPROVAL:
                self.control.post("/experiment/approve")
            case "verdict", experiment_store.PROMOTED:
                pass  # cut off between the act and its record, it is done
            case "non_inferior", experiment_store.INCONCLUSIVE:
                path = f"/versions/{tried.challenger}/promote"
                self.control.post(path, reason=truncate_reason(decision), expected=tried.champion)
            case _:
                return {policy.REFUSED: f"{tried.experiment} is {tried.state} by now"}
        return {"version": tried.challenger, "experiment": tried.experiment}

    def _roll_back(self, decision: Decision) -> dict[str, Any]:
        """Give the champion's place back to the one before it, unless that is done already."""
        expected = version_of(decision.target)
        now = self.control.post("/rollback", reason=truncate_reason(decision), expected=expected)
        return {"version": now["routes"]["champion"]["version"]}

    def _answers(self, version: int | None) -> Callable[[pd.DataFrame], performance.Floats] | None:
        """What a version that served before says of a window's flights, from its verified copy."""
        if version is None:
            return None
        if version not in self.models:
            record_of_it = registry.get(mlflow_runs.open_tracking(self.settings), str(version))
            self.models[version] = served.load_served(self.home, packaging.pull(record_of_it, self.home))
        model = self.models[version]
        return lambda window: model.score(*packages.inputs_of(features(window)))


def doubt_in(findings: list[MonitorResult]) -> str:
    """What the findings of a day call into question: its inputs, or its outcomes, or nothing."""
    on = {found.monitor for found in findings if found.state == "alarm"}
    doubts = {performance.CONTRACT: policy.DATA, performance.LABELS: policy.LABELS}
    return next(
        (excluded_reason for excluded_reason, monitors in doubts.items() if on & {*monitors}), performance.NO_DOUBT
    )


def truncate_reason(decision: Decision) -> str:
    """The reason as the platform takes it: eight columns in alarm have more to tell than fits."""
    return f"decision of {decision.day}: {decision.reason}"[:LONGEST_REASON]
