"""The loop controller: each night it takes every newly closed day through poll, run_monitors, decide and act.

A process that is killed anywhere continues at the next start: a decision is recorded before it is carried out.
"""

from collections.abc import Callable
from typing import Any

import pandas as pd
import sqlalchemy as sa

from level2_devops.features import features
from level3_training_pipeline.tracking import mlflow_runs, registry
from level4_deployment.control import audit
from level4_deployment.control.client import APPROVE, PlatformClient, RefusedError
from level4_deployment.control.registry_client import pull
from level4_deployment.delivery import flow, gates
from level4_deployment.experiment import experiment_store
from level4_deployment.serving import model as served
from level4_deployment.serving import package as packages
from level5_monitoring import config
from level5_monitoring.loop import loop_store, outbox, policy
from level5_monitoring.loop.accept import accepted_codes, normal_for
from level5_monitoring.loop.alerts import alerts_of, alerts_of_result
from level5_monitoring.loop.policy import Decision, PolicyState
from level5_monitoring.loop.policy_state import load_policy_state
from level5_monitoring.monitors import performance
from level5_monitoring.monitors.data_quality import check_contract
from level5_monitoring.monitors.drift import check_drift
from level5_monitoring.monitors.labels import check_labels
from level5_monitoring.monitors.monitor_result import MonitorResult
from level5_monitoring.monitors.reference import Reference
from level5_monitoring.monitors.window import WEEK, closed_days, is_end_of_week, read_window, week_of
from shared.errors import UserError
from shared.settings import Settings

TRIALS = 1  # the middle of the search space: more trials do not improve the eight trainings of a year
CLOSES_AFTER = pd.Timedelta(days=2)  # from the begin of a day of departure
LONGEST_REASON = 500  # characters in the platform's audit trail; the loop's record has the whole reason


class LoopController:
    """Everything a nightly run needs: the platform's log and control plane, and the reference of normal days."""

    def __init__(self, settings: Settings, reference: Reference, log: sa.Engine, control: PlatformClient) -> None:
        self.settings, self.reference, self.log, self.control = settings, reference, log, control
        self.home = config.platform(settings)
        self.sink = outbox.sink_of(settings)
        self.models: dict[int, served.ServedModel] = {}
        self.windows: dict[str, pd.DataFrame] = {}

    def poll(self) -> list[str]:
        """The closed days whose decision was not carried out yet, oldest first."""
        return closed_days(self.log, after=loop_store.last_day_done(self.log))

    def run_day(self, day: str) -> Decision:
        """Monitor, decide, notify, act; a decision that an earlier process recorded is carried out as it is."""
        decision = loop_store.find_decision(self.log, day) or self.decide(day)
        self.deliver_alerts()  # now: a page does not wait for a training
        result = self.act(decision)
        loop_store.close_decision(self.log, day, result, alerts_of_result(decision, result))
        self.deliver_alerts()
        return decision

    def deliver_alerts(self) -> None:
        """Send the alerts that wait in the outbox."""
        outbox.deliver(self.log, self.sink)

    def run_monitors(self, day: str, state: PolicyState) -> list[MonitorResult]:
        """Data quality and labels of the day, drift of the week that ends with it, and the champion's performance."""
        window = self._window(day)
        reference = normal_for(day, self.reference, accepted_codes(self.log), self.log)
        results = check_contract(window, reference, day) + check_labels(window, day)
        if is_end_of_week(day):
            results += check_drift(pd.concat([self._window(one) for one in week_of(day)]), reference, day)
        active = policy.active_alarms(day, state.alarms, results, state.accepted)
        return results + self._check_champion(day, window, policy.excluded_reason(active))

    def _check_champion(self, day: str, window: pd.DataFrame, excluded: str) -> list[MonitorResult]:
        """The champion's performance on the labels of the day and of the days before."""
        if not (last := audit.last_move(self.log)):
            return []
        champion = int(last["version"])
        previous = int(last["old_value"]) if last["action"] == audit.PROMOTE and last["old_value"] else None
        before = performance.Previous(previous, self._predictions_of(previous)) if previous else None
        days = loop_store.performance_until(self.log, day)
        rate = performance.base_rate(days[days["day"] < day])
        if measured := performance.measure(window, champion, before, rate=rate, excluded_reason=excluded):
            loop_store.save_performance(self.log, measured)
        gains = self._experiment_gains(champion, previous) if previous else []
        return performance.check_champion(day, champion, loop_store.performance_until(self.log, day), previous, gains)

    def _window(self, day: str) -> pd.DataFrame:
        """The window of a closed day; the last week's are kept, because drift needs them again on Sunday."""
        if day not in self.windows:
            self.windows = {one: self.windows[one] for one in [*self.windows][1 - WEEK :]}
            self.windows[day] = read_window(self.log, day, day)
        return self.windows[day]

    def _experiment_gains(self, champion: int, previous: int) -> list[float]:
        """The gains by day of the experiment that promoted the champion, if one did."""
        pair = (champion, previous)
        won = [one for one in experiment_store.find(self.log) if (one.challenger, one.champion) == pair]
        if not won:
            return []
        return list(experiment_store.days_of(self.log, won[-1].experiment)["mean_loss_difference"].dropna())

    def _predictions_of(self, version: int) -> Callable[[pd.DataFrame], performance.Floats]:
        """The probabilities that an earlier version gives the flights of a window, from its verified copy."""
        if version not in self.models:
            record = registry.get(mlflow_runs.open_tracking(self.settings), str(version))
            self.models[version] = served.load_served(self.home, pull(record, self.home))
        model = self.models[version]
        return lambda window: model.score(*packages.inputs_of(features(window)))

    def decide(self, day: str) -> Decision:
        """Run the monitors, decide by policy, and record results, decision and alerts in one transaction."""
        state = load_policy_state(self.log, day)
        results = self.run_monitors(day, state)
        decision = policy.decide(day, results, state)
        alerts = alerts_of(decision, state, self.settings.workspace)
        return loop_store.record_decision(self.log, decision, results, alerts)

    def act(self, decision: Decision) -> dict[str, Any]:
        """Carry out a decision. An act that is refused or fails is a result too, with its reason.

        Every error becomes a result, because it would repeat at each start, unseen. Ctrl-C and a cancelled flow are no
        errors: the decision stays open, and the next start carries it out.
        """
        try:
            return self._carry_out(decision)
        except (RefusedError, gates.GateError) as error:
            return {policy.REFUSED: str(error)}
        except UserError as error:
            return {policy.FAILED: str(error)}
        except Exception as error:  # noqa: BLE001 - registry, disk, database, a bug: recorded, and an alert
            return {policy.FAILED: f"{type(error).__name__}: {error}"}

    def _carry_out(self, decision: Decision) -> dict[str, Any]:
        match decision.kind:
            case "retrain":
                return self._retrain(decision)
            case "promote":
                return self._promote(decision)
            case "roll_back":
                return self._roll_back(decision)
            case "stop_experiment":
                self.control.post("/experiment/stop", reason=truncate_reason(decision))
        return {}

    def _retrain(self, decision: Decision) -> dict[str, Any]:
        """Run level 3's pipeline and level 4's gates, as of the night after which the day is closed."""
        today = str((pd.Timestamp(decision.day) + CLOSES_AFTER).date())
        cause, without = f"decision of {decision.day}: {decision.cause}", policy.days_left_out(decision)
        deployed = flow.delivery(today, self.home, TRIALS, cause, policy.PLAN, without, averaged=True)
        return {"version": deployed.version, "experiment": deployed.experiment}

    def _promote(self, decision: Decision) -> dict[str, Any]:
        """Make a challenger the champion: a winner that awaits approval, or one that was not worse."""
        (found,) = (one for one in experiment_store.find(self.log) if one.experiment == decision.experiment)
        match decision.cause, found.state:
            case "verdict", experiment_store.APPROVAL:
                self.control.post(APPROVE)
            case "verdict", experiment_store.PROMOTED:
                pass  # done by a process that was killed before it recorded the result
            case "non_inferior", experiment_store.INCONCLUSIVE:
                path = f"/versions/{found.challenger}/promote"
                self.control.post(path, reason=truncate_reason(decision), expected=found.champion)
            case _:
                return {policy.REFUSED: f"{found.experiment} is {found.state} by now"}
        return {"version": found.challenger, "experiment": found.experiment}

    def _roll_back(self, decision: Decision) -> dict[str, Any]:
        """Make the previous version the champion again, unless that is done already."""
        status = self.control.post("/rollback", reason=truncate_reason(decision), expected=decision.version)
        return {"version": status["routes"]["champion"]["version"]}


def truncate_reason(decision: Decision) -> str:
    """The reason as the platform accepts it: that of eight columns in alarm is longer than LONGEST_REASON."""
    return f"decision of {decision.day}: {decision.reason}"[:LONGEST_REASON]
