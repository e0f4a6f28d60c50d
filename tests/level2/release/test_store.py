"""The store of releases: numbers that are used once, a pointer that is never half written, a history."""

import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
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


def test_a_reader_never_sees_a_pointer_half_written(store: Store) -> None:
    store.point_to(Current("1.0.0", (), 1))
    seen, done = set(), threading.Event()

    def read() -> None:
        while not done.is_set():
            seen.add(store.current())

    reader = threading.Thread(target=read)
    reader.start()
    written = [Current(f"1.0.{n}", tuple(f"1.0.{m}" for m in range(n)), n + 1) for n in range(200)]
    for current in written:
        store.point_to(current)
    done.set()
    reader.join()
    assert len(seen) > 1
    assert seen <= set(written)


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


def test_two_releases_at_once_run_one_after_the_other(store: Store) -> None:
    inside, most = 0, 0

    def work(_: int) -> None:
        nonlocal inside, most
        with store.alone():
            inside += 1
            most = max(most, inside)
            store.record("refused", store.next_version(), "ann")
            inside -= 1

    with ThreadPoolExecutor(8) as workers:
        assert [*workers.map(work, range(8))] == [None] * 8
    assert most == 1
    assert [event["version"] for event in store.history()] == [f"1.0.{n}" for n in range(8)]


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
    store.point_to(Current("1.0.2", (), 1))  # killed between the switch and its record
    for _ in range(2):
        with store.alone():
            ends = [(event["what"], event["version"], event["actor"]) for event in store.history()[-2:]]
        assert ends == [("cut off", "1.0.1", "ann"), ("released", "1.0.2", "ann")], "once"
