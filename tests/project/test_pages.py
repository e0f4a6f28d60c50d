"""Every page that a command prints or links to, in a browser and without the internet; `make up`'s are in level 5."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
import pandas as pd
import pytest

from level2_devops.model import ModelCard, fit, save
from level2_devops.release.store import Store
from level3_training_pipeline.orchestration.prefect_server import prefect_server
from level3_training_pipeline.tracking import mlflow_runs, registry
from level4_deployment.control.client import read_addresses
from level4_deployment.control.platform_process import running_platform
from level4_deployment.delivery.packaging import publish
from level4_deployment.experiment.labels import Label, ingest
from level4_deployment.prediction_log import PREDICTIONS
from level5_monitoring import config
from level5_monitoring.dashboard import evidently_reports
from level5_monitoring.monitors.reference import build_reference
from shared.settings import Settings
from tests.factories import insert, predictions_of
from tests.level2 import releases
from tests.level5.browser import opened
from tests.support import environment, interrupt, lend_flights, without

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name == "nt", reason="SIGINT")]
TODAY = "2013-03-01"
WEEKS = pd.date_range("2013-04-01", "2013-04-14").strftime("%Y-%m-%d")


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A state folder that all levels share."""
    state = tmp_path_factory.mktemp("pages")
    lend_flights(state)
    with environment(MLOPS_STATE=str(state), MLOPS_WORKSPACE="pages", TODAY=TODAY, PREDICTION_LOG=""):
        yield config.configure()


@pytest.fixture(scope="module")
def addresses(settings: Settings, flights: pd.DataFrame, known: pd.DataFrame) -> Iterator[dict[str, str]]:
    """What the commands print, after a training, two weeks of predictions and a release: name -> address."""
    two_weeks = predict_two_weeks(settings, flights)
    build_reference(known).save(config.own(settings))
    save(fit(two_weeks, max_iter=5), ModelCard(0.25, len(two_weeks), TODAY), settings.level("level2") / "model")
    releases.publish(Store(settings.level("level2")), settings.level("level2") / "model")
    found = {}
    with ExitStack() as stack:
        lab = stack.enter_context(printed("level1_notebook", "open", "--no-browser", until="Ctrl-C"))
        reports = stack.enter_context(printed("level5_monitoring", "reports", until="Ctrl-C"))
        server = stack.enter_context(prefect_server(settings))
        train(server, settings)
        platform = stack.enter_context(running_platform(settings.level("level4")))
        ui = stack.enter_context(printed("level3_training_pipeline", "ui", until="Ctrl-C"))
        serve = stack.enter_context(releases.serving(settings))[1]
        found["JupyterLab"], found["Evidently"] = urls(lab())[0], urls(reports())[0]
        found["MLflow's runs"], found["MLflow's model"], found["Prefect"] = urls(ui())
        platform.wait_until_ready()
        there = read_addresses(platform.home)
        found["level 4"], found["control plane"] = there["service"], there["control"]
        found["level 2"] = serve.address
        yield found


def predict_two_weeks(settings: Settings, flights: pd.DataFrame) -> pd.DataFrame:
    """Write predictions and labels of two closed weeks, 60 flights a day, into the platform's log."""
    some = pd.concat([flights[flights["flight_id"].str.startswith(day)].head(60) for day in WEEKS])
    late = some.dropna(subset=["late"])
    labels = zip(late["flight_id"], late["late"], late["label_known_at"], strict=True)
    closed = pd.Timestamp("2013-04-17", tz="America/New_York").timestamp()
    with config.open_log(settings) as log:
        insert(log, PREDICTIONS, predictions_of(some))
        ingest(log, [Label(flight, int(one), at.timestamp()) for flight, one, at in labels], closed)
    return late


def train(server: Any, settings: Settings) -> None:
    """Make version 1 with two trials, as the champion."""
    from level3_training_pipeline.orchestration.run_flow import run_training

    client = mlflow_runs.open_tracking(settings)
    number = run_training(server, TODAY, 2)
    publish(client, registry.get(client, str(number)))
    client.set_registered_model_alias(registry.MODEL, registry.CHAMPION, str(number))


@contextmanager
def printed(*words: str, until: str) -> Iterator[Callable[[], str]]:
    """Run a command while the block runs; the yielded function waits until it has printed a text, and returns all."""
    command, unbuffered = [sys.executable, "-m", *words], {"PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | unbuffered)

    def wait() -> str:
        assert process.stdout
        lines = []
        for line in process.stdout:
            lines.append(line)
            if until in line:
                break
        return "".join(lines)

    try:
        yield wait
    finally:
        interrupt(process)


def urls(text: str) -> list[str]:
    return re.findall(r"http://127\.0\.0\.1:\S+", text)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("JupyterLab", ["flight_delays.ipynb", "Will my flight be late?"]),
        ("MLflow's runs", [f"training as of {TODAY}", mlflow_runs.ABOUT["mlflow.note.content"]]),
        ("MLflow's model", [registry.ABOUT, "Version 1", f"As of {TODAY}, by hand"]),
        ("Prefect", [f"training as of {TODAY}", "Completed"]),
    ],
)
def test_a_page_of_another_tool_shows_what_the_levels_made(
    addresses: dict[str, str], name: str, shown: list[str]
) -> None:
    plotly = "Shared module @jupyter-widgets/base"  # its extension of JupyterLab needs another one, which is not there
    with opened(addresses[name], excused=plotly) as page:
        for text in shown:
            page.get_by_text(text).locator("visible=true").first.wait_for(timeout=60_000)


def test_evidently_s_dashboard_draws_the_weeks_of_2013_and_a_week_has_an_address(addresses: dict[str, str]) -> None:
    with opened(addresses["Evidently"]) as page:
        for title in ("Log loss", "columns that drift", "Missing values", "Flights predicted"):
            page.get_by_text(title).first.wait_for(timeout=60_000)
        page.get_by_text("2013-04-07").nth(3).wait_for()  # an axis of each panel
        page.get_by_text("Reports", exact=True).first.click()
        page.get_by_text("data, week to 2013-04-14").wait_for()
        assert page.get_by_text("14 Apr 2013").count() == 2
        page.goto(addresses["Evidently"].replace(evidently_reports.PAGE, evidently_reports.page_of_week("2013-04-14")))
        page.get_by_text("Count of Drifted Columns").first.wait_for()
        page.get_by_text("Projects", exact=True).click()
        page.get_by_text("The flights and predictions of 2013").first.wait_for()
    own = addresses["Evidently"].removesuffix(evidently_reports.PAGE)
    for headers in ({"origin": "http://evil.example"}, {"host": "evil.example"}):
        foreign = httpx.post(f"{own}/api/projects", json={"name": "a project"}, headers=headers, timeout=60)
        assert foreign.status_code == 403
    assert httpx.get(f"{own}/api/projects", headers={"host": "evil.example"}, timeout=60).status_code == 403


@pytest.mark.parametrize("name", ["level 2", "level 4", "control plane"])
def test_a_service_has_an_index_whose_links_and_example_work(addresses: dict[str, str], name: str) -> None:
    if not shutil.which("curl"):
        without("no curl is installed: the example cannot be tried")
    with opened(addresses[name]) as page:
        example = page.locator("pre").inner_text()
        for link in [link.get_attribute("href") for link in page.locator("a").all()]:
            assert page.request.get(addresses[name] + link).ok, link
        page.get_by_role("link", name="/docs").click()
        page.locator(".opblock-summary-path", has_text="/").first.click()
        page.get_by_role("button", name="Try it out").wait_for()
        assert page.get_by_text("Failed to load").count() == 0
    answer = subprocess.run(example, shell=True, capture_output=True, text=True, check=True).stdout  # noqa: S602 - as people paste it
    assert ('"champion":' if name == "control plane" else '"fallback":') in answer, answer
