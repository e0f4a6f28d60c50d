"""Evidently's own reports: each closed week once, in a workspace that its pages read."""

import json
import warnings
import zlib
from datetime import date

import pandas as pd
import pytest

from level4_deployment import prediction_log
from level4_deployment.experiment.labels import Label, ingest
from level4_deployment.replay_client import as_requests
from level5_monitoring import config
from level5_monitoring.dashboard import evidently_reports
from level5_monitoring.monitors.reference import Reference
from level5_monitoring.monitors.window import CODES, NUMBERS
from shared.score import score
from shared.settings import Settings
from tests.factories import insert, prediction

SUNDAY = date(2013, 4, 14)
A_DAY = 60  # flights predicted


@pytest.fixture
def week(flights: pd.DataFrame) -> pd.DataFrame:
    """Monday to Sunday, no label on the last day; not one value of one column, and one of another out of range."""
    days = pd.date_range("2013-04-08", "2013-04-14").strftime("%Y-%m-%d")
    found = pd.concat([flights[flights["flight_id"].str.startswith(day)].head(A_DAY) for day in days])
    hot = found["flight_id"] == found["flight_id"].iloc[0]
    return found.assign(wind_gust=float("nan"), temp=found["temp"].mask(hot, 120.0))


@pytest.fixture
def played(settings: Settings, week: pd.DataFrame, reference: Reference, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A level that has predicted the week, which is closed."""
    monkeypatch.delenv("PREDICTION_LOG", raising=False)
    reference.save(config.own(settings))
    known = week[week["flight_id"] < "2013-04-14"].dropna(subset=["late"])
    labels = zip(known["flight_id"], known["late"], known["label_known_at"], strict=True)
    closed = pd.Timestamp("2013-04-17", tz="America/New_York").timestamp()
    with config.open_log(settings) as log:
        insert(log, prediction_log.PREDICTIONS, [_predicted(one) for one in as_requests(week)])
        ingest(log, [Label(flight, int(late), at.timestamp()) for flight, late, at in labels], closed)
    return settings


def _predicted(sent: dict[str, object]) -> dict[str, object]:
    flight, departs = str(sent["flight_id"]), pd.Timestamp(str(sent["scheduled_departure"])).timestamp()
    payload, probability = json.dumps(sent), _probability(flight)
    return prediction(
        flight, departs_at=departs, asked_at=departs - 3600, request_payload=payload, probability=probability
    )


def _probability(flight: str) -> float:
    """A different one for each flight."""
    return (zlib.crc32(flight.encode()) % 89 + 5) / 100


def test_a_closed_week_is_reported_once(played: Settings, week: pd.DataFrame) -> None:
    assert evidently_reports.add_weeks(played) == 1
    assert evidently_reports.add_weeks(played) == 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from evidently.ui.workspace import Workspace
    workspace = Workspace.create(str(config.own(played) / evidently_reports.WORKSPACE))
    (project,) = workspace.search_project(evidently_reports.PROJECT)
    ids = {str(one) for one in workspace.list_runs(project.id)}
    runs = [workspace.get_run(project.id, one) for one in ids]
    metrics = {run.name: {one.display_name: one.dict() for one in run.metric_results.values()} for run in runs}
    known = week[week["flight_id"] < "2013-04-14"]["late"].notna().sum()
    rows = {name: of_it["Row count in dataset"]["value"] for name, of_it in metrics.items()}
    assert rows == {"data, week to 2013-04-14": len(week), "model, week to 2013-04-14": known}
    data, model = metrics["data, week to 2013-04-14"], metrics["model, week to 2013-04-14"]
    assert "Value drift for temp" in data
    assert "Value drift for wind_gust" not in data, "it has no value"
    assert {(run.timestamp.date(), *run.tags) for run in runs} == {(SUNDAY, "data"), (SUNDAY, "model")}
    missing = data["Count and share of missing values in dataset"]
    assert missing["count"]["value"] == week[NUMBERS + CODES].isna().sum().sum()
    judged = week[week["flight_id"] < "2013-04-14"].dropna(subset=["late"])
    own = score(judged["late"], [_probability(flight) for flight in judged["flight_id"]])
    assert (model["LogLoss metric"]["value"], model["RocAuc metric"]["value"]) == pytest.approx((own.log_loss, own.auc))
    tests = [test for run in runs for one in run.metric_results.values() for test in one.dict()["tests"]]
    failed = [test["name"] for test in tests if test["status"] == "FAIL" and "out of" in test["name"]]
    assert failed == ["Column 'temp' values out of range -40 to 115: Equal 0.000"]
