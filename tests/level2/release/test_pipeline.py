"""A release passes every gate or never serves; one command rolls back."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest

from level2_devops.features import features
from level2_devops.model import ModelCard, fit_features, save
from level2_devops.release import gates, pipeline
from level2_devops.release.artefact import copy_source
from level2_devops.release.pipeline import Release, candidate, release, roll_back
from level2_devops.release.service_status import STATE
from level2_devops.release.store import ReleaseError, Store
from shared.errors import UserError
from shared.files import StateError
from shared.settings import Settings
from shared.waiting import wait_until
from tests.level2.releases import ACTOR, copy_project, has_ended, publish, published, seed_bug
from tests.support import eventually, lend_flights

pytestmark = pytest.mark.slow


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """The test's own, with the data's cache of the project."""
    lend_flights(settings.state)
    return settings


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return copy_project(tmp_path / "project")


@pytest.fixture
def store(settings: Settings) -> Store:
    return Store(settings.level("level2"))


@pytest.fixture
def make(small_model: Path, settings: Settings, project: Path) -> Callable[[], Release]:
    """Release the project with the small model."""
    return lambda: release(small_model, settings, actor=ACTOR, source=project)


def test_a_release_passes_its_gates_becomes_current_and_can_be_rolled_back(
    make: Callable[[], Release], small_model: Path, settings: Settings, store: Store
) -> None:
    before = publish(store, small_model)
    made = make()
    assert "passed" in made.gates["tests"]
    assert made.gates["smoke test"] == "106 answers, all the model's own"
    assert made.switched_in is None  # nothing serves here
    assert (before, made.version) == ("1.0.0", "1.0.1")
    assert store.current().version == "1.0.1"  # type: ignore[union-attr]
    assert roll_back(settings, actor=ACTOR).version == "1.0.0"
    assert store.current().version == "1.0.0"  # type: ignore[union-attr]
    with pytest.raises(ReleaseError, match="no earlier release"):
        roll_back(settings, actor=ACTOR)
    events = [(event["what"], event["version"]) for event in store.history() if event["what"] != "published"]
    assert events[-3:] == [("building", "1.0.1"), ("released", "1.0.1"), ("rolled back", "1.0.0")]


BUGS = {  # module, its right and its wrong line, and the reason why it is not released
    "a test is red": (  # no answer changes, since distances are whole numbers, but the contract does
        ("features.py", 'to_numpy("float32")', 'to_numpy("float64" if name == "distance" else "float32")'),
        "FAILED tests/level2/test_features.py::",
    ),
    "no test sees it, the smoke test does": (
        ("service/app.py", "else float(chance)", "else float(chance) / 2"),
        "106 of 106 answers differ from the model's own",
    ),
    "it does not start": (
        ("service/__main__.py", "log_as_json()\n", "log_as_json()\n    sys.exit(3)\n"),
        "ended with 3",
    ),
    "it has no test": (("../tests/level2/test_features.py", "def test_", "def no_test_"), "no tests ran"),
}


@pytest.mark.parametrize("bug", BUGS)
def test_a_bug_is_not_released_and_what_was_current_stays_so(
    make: Callable[[], Release], small_model: Path, project: Path, store: Store, bug: str
) -> None:
    where, why = BUGS[bug]
    seed_bug(project, *where)
    before = publish(store, small_model)
    with pytest.raises(ReleaseError, match=rf"release 1\.0\.1 is refused; {before} keeps serving\. .*{why}"):
        make()
    assert store.current().version == before  # type: ignore[union-attr]
    assert published(store) == [before]
    assert not list(store.home.glob("building-*"))
    assert store.history()[-1]["what"] == "refused"
    assert store.next_version() == "1.0.2"


def test_a_rollback_that_the_service_refuses_or_to_a_tampered_release_leaves_what_was_current(
    small_model: Path, settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Store) -> None:
        raise ReleaseError("it does not start")

    first, second = publish(store, small_model), publish(store, small_model)
    monkeypatch.setattr(pipeline, "wait_until_served", refuse)
    with pytest.raises(ReleaseError, match="it does not start"):
        roll_back(settings, actor=ACTOR)
    assert store.current().version == second  # type: ignore[union-attr]
    card = store.app(first) / "model" / "model.json"
    card.chmod(0o644)
    card.write_text("{}")
    with pytest.raises(ReleaseError, match=r"model/model\.json: 1 of .* are not what was released"):
        roll_back(settings, actor=ACTOR)
    assert store.current().version == second  # type: ignore[union-attr]


def test_two_releases_at_once_are_two_versions(make: Callable[[], Release], store: Store) -> None:
    with ThreadPoolExecutor(2) as both:
        started = [both.submit(make) for _ in range(2)]
        made = {one.result().version for one in started}
    assert made == {"1.0.0", "1.0.1"} == set(published(store))
    assert store.current().before == ("1.0.0",)  # type: ignore[union-attr]


STARTS_A_PROCESS = """
import pathlib, subprocess, sys
def test_it():
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    pathlib.Path({file!r}).write_text(str(process.pid) + " ")
    process.wait()
"""


def test_processes_started_by_the_tests_end_with_them(settings: Settings, project: Path, tmp_path: Path) -> None:
    started = tmp_path / "started"
    (project / "tests" / "level2" / "test_features.py").write_text(STARTS_A_PROCESS.format(file=str(started)))
    copy_source(project, tmp_path / "release" / "app")
    with gates.tests_running(project, tmp_path, settings, tmp_path / "tests.log"):
        log = tmp_path / "tests.log"
        eventually(lambda: started.exists() and started.read_text().endswith(" "), 60, shows=log.read_text)
    assert has_ended(int(started.read_text()))


RELEASE = """
import sys
from pathlib import Path
from level2_devops.release.pipeline import release
from shared.settings import read_settings
release(Path(sys.argv[1]), read_settings(), actor="tester", source=Path(sys.argv[2]))
"""


def test_a_release_killed_at_any_moment_leaves_nothing_visible_and_the_next_one_succeeds(
    make: Callable[[], Release], small_model: Path, settings: Settings, project: Path, store: Store
) -> None:
    before = publish(store, small_model)
    for version, seconds in (("1.0.1", 0.0), ("1.0.2", 0.3), ("1.0.3", 2.0)):  # while it copies, builds, tests
        process = subprocess.Popen(
            [sys.executable, "-c", RELEASE, str(small_model), str(project)],
            env=os.environ | {"MLOPS_STATE": str(settings.state)},
            stdout=subprocess.DEVNULL,
        )
        wait_until(lambda: store.history()[-1]["version"] == version, 60, pause=0.005)  # noqa: B023 - called at once
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert store.current().version == before  # type: ignore[union-attr]
        assert published(store) == [before]
    assert make().version == "1.0.4"
    assert published(store) == [before, "1.0.4"]
    assert not list(store.home.glob("building-*"))


WAYS_OUT = {
    "a bug": (RuntimeError("a bug"), "a bug"),
    "Ctrl-C": (KeyboardInterrupt(), "KeyboardInterrupt"),
    "an error of the user": (UserError("no model"), "no model"),
}


@pytest.mark.parametrize("way", WAYS_OUT)
def test_every_way_out_of_a_release_is_on_record(settings: Settings, project: Path, store: Store, way: str) -> None:
    error, why = WAYS_OUT[way]
    with pytest.raises((type(error), ReleaseError)), candidate(settings, actor=ACTOR, source=project):
        raise error
    assert [(event["what"], event.get("why")) for event in store.history()] == [("building", None), ("refused", why)]


def test_a_model_of_other_columns_is_refused_in_one_line(
    known: pd.DataFrame, settings: Settings, project: Path, store: Store
) -> None:
    table = features(known.iloc[::60]).rename(columns={"temp": "temperature"})
    model = fit_features(table, known.iloc[::60]["late"], max_iter=2)
    save(model, ModelCard(0.2, len(table), "2013-04-01"), settings.state / "model")
    with pytest.raises(
        ReleaseError, match=r"other columns than the code has: -temp, \+temperature .* Remedy: train"
    ) as error:
        release(settings.state / "model", settings, actor=ACTOR, source=project)
    assert "\n" not in str(error.value)
    assert store.history()[-1]["what"] == "refused"


def test_a_garbled_status_of_a_service_stops_a_release_before_its_work(
    make: Callable[[], Release], settings: Settings, store: Store
) -> None:
    before = store.history()
    (store.home / STATE).write_text("{")
    for act in (make, lambda: roll_back(settings, actor=ACTOR)):
        with pytest.raises(StateError, match=rf"{STATE}.*else remove"):
            act()
    assert store.history() == before
