"""The record of experiments: which two versions are compared, how far it has come, and its closed days."""

import json
from dataclasses import asdict, dataclass

import pandas as pd
import sqlalchemy as sa

from level4_deployment.experiment.design import Plan, Verdict
from level4_deployment.prediction_log import EXPERIMENT_DAYS, EXPERIMENTS

RUNNING, APPROVAL = "running", "awaiting approval"  # in every other state, the experiment has ended
PROMOTED, REJECTED, INCONCLUSIVE = "promoted", "rejected", "inconclusive"  # by its verdict
STOPPED, FAILED = "stopped", "failed"  # without a verdict; failed: because its challenger was
LOST = (REJECTED, FAILED)  # the states in which an experiment has ended against its challenger


@dataclass(frozen=True)
class Experiment:
    """One comparison of two versions. Salt and planned share never change: another split is another experiment.

    experiment: its name, challenger first. actor: who submitted the challenger.
    share: of flights that the challenger answers, 0 in shadow. verdict: once there is one that ends the experiment.
    reason: why it is in its state; after a verdict, the sentence that the verdict's figures give.
    """

    experiment: str
    champion: int
    challenger: int
    share: float
    plan: Plan
    live_from: str | None
    state: str
    reason: str
    actor: str
    number: int = 1
    verdict: Verdict | None = None

    @property
    def salt(self) -> str:
        """What splits the flights. Champion first, unlike the name, as in every split that was ever measured."""
        return f"{self.champion}-against-{self.challenger}-no{self.number}"


def new_experiment(log: sa.Engine, champion: int, challenger: int, plan: Plan, actor: str) -> Experiment:
    """The next experiment, not yet saved. It begins in shadow."""
    with log.connect() as connection:
        number = 1 + connection.execute(sa.select(sa.func.count()).select_from(EXPERIMENTS)).scalar_one()
    name = f"{challenger}-against-{champion}-no{number}"
    return Experiment(name, champion, challenger, 0.0, plan, None, RUNNING, "in shadow", actor, number)


def save(log: sa.Engine, *changed: Experiment) -> None:
    """Write experiments in place of their earlier rows, in one transaction. The sentence of a verdict is not stored."""
    with log.begin() as connection:
        for one in changed:
            by_verdict = one.verdict is not None and one.reason == one.verdict.reason(one.plan)
            row = asdict(one) | {
                "plan": json.dumps(asdict(one.plan)),
                "verdict": json.dumps(asdict(one.verdict)) if one.verdict else None,
                "reason": None if by_verdict else one.reason,
            }
            connection.execute(EXPERIMENTS.delete().where(EXPERIMENTS.c.experiment == one.experiment))
            connection.execute(EXPERIMENTS.insert(), row)


def find(log: sa.Engine, *states: str) -> list[Experiment]:
    """The experiments in any of these states, oldest first; all of them if no state is given."""
    query = sa.select(EXPERIMENTS).order_by(EXPERIMENTS.c.number)
    if states:
        query = query.where(EXPERIMENTS.c.state.in_(states))
    with log.connect() as connection:
        return [_experiment(dict(row)) for row in connection.execute(query).mappings()]


def _experiment(row: dict[str, object]) -> Experiment:
    """The experiment in a row; one whose plan or verdict this version cannot read does not run."""
    try:
        plan = Plan.of(**json.loads(str(row["plan"])))
        verdict = Verdict(**json.loads(str(row["verdict"]))) if row["verdict"] else None
    except (TypeError, ValueError) as error:
        plan, verdict = Plan(), None
        row = row | {"reason": f"its record cannot be read, so the standard plan is shown: {error}"}
        if row["state"] in (RUNNING, APPROVAL):
            row["state"] = STOPPED
    reason = verdict.reason(plan) if verdict and row["reason"] is None else row["reason"]
    return Experiment(**row | {"plan": plan, "verdict": verdict, "reason": reason})  # type: ignore[arg-type]


def days_of(log: sa.Engine, experiment: str) -> pd.DataFrame:
    """The closed days of an experiment, oldest first: the columns of EXPERIMENT_DAYS."""
    query = sa.select(EXPERIMENT_DAYS).where(EXPERIMENT_DAYS.c.experiment == experiment).order_by(EXPERIMENT_DAYS.c.day)
    with log.connect() as connection:
        return pd.DataFrame(connection.execute(query).mappings().all(), columns=EXPERIMENT_DAYS.columns.keys())
