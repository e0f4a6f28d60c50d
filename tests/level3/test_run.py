"""The level as a command: what it prints is what it did."""

import json
import re
import sys
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import pandas as pd
import pytest
from mlflow import MlflowClient

from level2_devops.model import load, predict
from level2_devops.release.store import Store
from level3_training_pipeline.tracking import mlflow_runs, registry
from level3_training_pipeline.tracking.registry import Version
from shared.artefacts import MODEL_FILE
from shared.data.split import future
from shared.files import file_digest, short_commit
from shared.score import Score, by_month, score
from shared.settings import PROJECT, Settings, read_settings
from tests.foreign import contents, foreign_settings
from tests.silence import ALLOWED, Said, listen
from tests.support import lend_flights
from tests.terminal import closing_screen

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("flights")]  # they make the cache that is lent


@dataclass(frozen=True)
class Level:
    """What a run of the level said and left behind."""

    said: Said
    settings: Settings
    champion: Version
    app: Path  # of the release that is current
    summary: dict[str, object]

    @property
    def printed(self) -> str:
        """What it said, as one line."""
        return " ".join(self.said.out.split())


def client_of(settings: Settings) -> MlflowClient:
    """Of this store, also for the registry: another test may have set another one for the whole process."""
    uri = mlflow_runs.tracking_uri(settings)
    return MlflowClient(uri, uri)


def run_level(state: Path, today: date, **more: str) -> Level:
    """Run the command in a state folder of its own, which borrows the data's cache."""
    lend_flights(state)
    command = [sys.executable, "-m", "level3_training_pipeline"]
    said = listen(command, **more, MLOPS_STATE=str(state), TODAY=str(today), COLUMNS="200")
    assert (said.status, said.err) == (0, ""), said.out[-2000:] + said.err[-2000:]
    settings = replace(read_settings(), today=today, state=state, workspace="")
    champion = registry.by_alias(client_of(settings), registry.CHAMPION)
    assert champion
    store = Store(settings.level("level2"))
    current = store.current()
    assert current
    summary = json.loads((settings.level("level3") / "summary.json").read_text())
    return Level(said, settings, champion, store.app(current.version), summary)


@pytest.fixture(scope="module")
def april(tmp_path_factory: pytest.TempPathFactory) -> Level:
    """A run among settings of other projects."""
    folder = tmp_path_factory.mktemp("april")
    foreign = foreign_settings(folder / "foreign")
    untouched = contents(folder / "foreign")
    level = run_level(folder / "state", date(2013, 4, 1), **foreign)
    assert contents(folder / "foreign") == untouched
    return level


def test_it_is_never_silent_for_long(april: Level) -> None:
    assert april.said.longest < ALLOWED, april.said.silences[:3]


def test_it_ends_with_one_screen_and_keeps_its_story(april: Level) -> None:
    state = april.settings.state
    assert closing_screen(april.said.out, str(state))[-1].startswith("next make level4")
    assert "Build the features" in (state / "level3" / "story.html").read_text(encoding="utf-8")


def test_the_scores_it_prints_are_those_of_the_model_it_deploys(april: Level, later: pd.DataFrame) -> None:
    model, card = load(april.app / "model")
    probability = predict(model, later)
    overall, months = score(later["late"], probability), by_month(later, probability)
    assert april.summary["score"] == overall.as_dict()
    assert overall.log_loss <= 0.466
    assert overall.auc >= 0.768
    assert f"{overall} of 2013-04 to 2013-12" in april.printed
    for month, row in months.iterrows():
        assert f"{month} {row.rows:,.0f} {row.late:.1%} {row.log_loss:.2f} {row.auc:.2f}" in april.printed
    assert april.champion.tags["today"] == april.summary["today"] == card.trained_as_of == "2013-04-01"


def test_what_serves_is_the_version_on_record_with_who_and_when(april: Level) -> None:
    tags = april.champion.tags
    assert file_digest(april.app / "model" / MODEL_FILE) == tags["model_sha256"]
    manifest = json.loads((april.app / "manifest.json").read_text())
    assert (manifest["built_by"], manifest["version"]) == (tags["deployed_by"], tags["release"])
    assert f"release {tags['release']} by {tags['deployed_by']}" in april.printed
    assert f"deployed_at {tags['deployed_at']}" in april.printed
    assert pd.Timestamp(tags["deployed_at"]).tzinfo is not None
    assert (
        f"run {april.champion.run_id[:8]}… → commit {short_commit(tags['commit'])} → data {tags['data_digest'][:8]}…"
        in april.printed
    )


def test_it_trains_once_builds_the_same_again_and_refuses_stale_labels(april: Level) -> None:
    once_more = r"once more, on purpose (\.+ )?✓ nothing has changed since version 1, 2 steps \d"
    assert re.search(once_more, april.printed)
    assert "7 steps, one command; given again: version 1" in april.printed
    assert re.search(r"\b0 of [\d,]{6,} predictions differ", april.printed)
    assert re.search(r"the newest label is 3 days .* old, at most 2 days .* is allowed", april.printed)
    assert "2 manual steps and 0 hand-overs" in april.printed


def test_the_readmes_flights_are_those_that_it_was_judged_on(april: Level) -> None:
    run = client_of(april.settings).get_run(april.champion.run_id)
    readme = (PROJECT / "level3_training_pipeline" / "README.md").read_text(encoding="utf-8")
    assert f"on the {run.data.metrics['test_rows']:,.0f} labelled flights" in " ".join(readme.split())


def test_another_today_trains_as_of_that_day_and_is_judged_on_the_flights_from_then_on(
    flights: pd.DataFrame, tmp_path: Path
) -> None:
    july = run_level(tmp_path / "state", date(2013, 7, 1))
    assert july.champion.tags["today"] == july.summary["today"] == "2013-07-01"
    assert load(july.app / "model")[1].trained_as_of == "2013-07-01"
    measured = Score(**july.summary["score"])  # type: ignore[arg-type]
    assert measured.rows == len(future(flights, july.settings.now))
    assert f"{measured} of 2013-07 to 2013-12" in july.printed
