"""The store of releases: numbers that are used once, a history of which no half line is read, a history."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from level2_devops.release import gates
from level2_devops.release.store import Current, ReleaseError, Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def test_a_version_number_is_never_used_twice_even_after_a_failure_or_a_deletion(store: Store) -> None:
    assert store.next_version() == "1.0.0"
    store.record("building", "1.0.0", "ann")
    assert store.next_version() == "1.0.1"
    (store.home / "made").mkdir()
    store.publish(store.home / "made", "1.0.1", "digest", "ann")
    shutil.rmtree(store.home / "releases")
    assert store.next_version() == "1.0.2"
    store.record("building", "1.0.10", "ann")
    assert store.next_version() == "1.0.11"


@pytest.mark.parametrize(
    ("events", "current"),
    [
        ([], None),
        (["building 1.0.0", "published 1.0.0"], None),
        (["released 1.0.0", "building 1.0.1", "refused 1.0.1", "cut off 1.0.2"], Current("1.0.0", (), 1)),
        (["released 1.0.0", "released 1.0.1", "rolled back 1.0.0"], Current("1.0.0", (), 3)),
        (["released 1.0.0", "released 1.0.1", "refused 1.0.1"], Current("1.0.0", (), 3)),  # by the running service
        (["released 1.0.0", "refused 1.0.0"], None),
        (["released 1.0.0", "released 1.0.1", "released 1.0.2"], Current("1.0.2", ("1.0.0", "1.0.1"), 3)),
    ],
)
def test_the_history_says_what_is_current(store: Store, events: list[str], current: Current | None) -> None:
    for event in events:
        what, _, version = event.rpartition(" ")
        store.record(what, version, "ann")
    assert store.current() == current


def test_the_history_says_who_did_what_to_which_version_and_when(store: Store) -> None:
    store.record("building", "1.0.0", "ann", note="first")
    store.record("refused", "1.0.0", "ann", why="its tests fail")
    first, second = store.history()
    assert (first["actor"], first["what"], first["version"], first["note"]) == ("ann", "building", "1.0.0", "first")
    assert second["why"] == "its tests fail"
    assert first["at"] <= second["at"]


def test_a_version_that_was_never_published_has_no_digest(store: Store) -> None:
    store.record("building", "1.0.0", "ann")
    with pytest.raises(ReleaseError, match=r"1\.0\.0 was never published"):
        store.manifest_digest("1.0.0")


def test_the_next_release_removes_the_folder_of_a_killed_one(store: Store) -> None:
    with store.workshop() as left:
        (left / "half").write_text("of a release")
        with store.workshop() as workshop:  # as after a kill: the first was never closed
            assert not left.exists()
            assert not list(workshop.iterdir())
    assert not list(store.home.glob("building-*"))


def test_an_unfinished_line_of_the_history_is_ignored_and_removed(store: Store) -> None:
    store.record("building", "1.0.0", "ann")
    with (store.home / "history.jsonl").open("a") as file:
        file.write('{"at": "2013-04-01", "wh')
    assert [event["version"] for event in store.history()] == ["1.0.0"]
    store.record("building", store.next_version(), "ann")
    assert [event["version"] for event in store.history()] == ["1.0.0", "1.0.1"]


def test_failed_tests_are_named_although_dots_precede_their_lines(tmp_path: Path) -> None:
    log = tmp_path / "tests.log"
    log.write_text("··..F·\n·FAILED tests/level2/test_features.py::test_one\n·1 failed in 2 s\n", encoding="utf-8")
    process = subprocess.Popen([sys.executable, "-c", "import sys; sys.exit(1)"])
    with pytest.raises(ReleaseError, match=r"its tests fail: FAILED tests/level2/test_features.py::test_one\. Remedy"):
        gates.Tests(process, log).result()


def test_a_release_that_was_killed_is_marked_as_cut_off_by_the_next_command(store: Store) -> None:
    for version in ("1.0.0", "1.0.1", "1.0.2"):
        store.record("building", version, "ann")
    store.record("refused", "1.0.0", "ann")
    store.record("published", "1.0.2", "ann", manifest="0" * 64)
    store.record("released", "1.0.2", "ann")
    for _ in range(2):
        with store.alone():
            ends = [(event["what"], event["version"], event["actor"]) for event in store.history()[-2:]]
        assert ends == [("released", "1.0.2", "ann"), ("cut off", "1.0.1", "ann")], "once"
