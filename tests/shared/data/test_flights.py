"""The table of flights: its digest, and the cache that must never be stale or half written."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

import shared.data.flights
from shared.data.flights import build_flights, digest, load_flights
from shared.data.raw import raw_digests, read_raw
from shared.data.schema import FLIGHT
from shared.settings import PROJECT, Settings
from tests.shared.data.tables import Change


@pytest.fixture
def small(settings: Settings, folder: Path) -> Settings:
    """Settings with the sample of the raw tables, and a state folder of this test's own."""
    return Settings(today=settings.today, data=folder, state=settings.state)


def test_the_whole_year_is_there_once(flights: pd.DataFrame) -> None:
    assert len(flights) == 336_776
    assert flights["flight_id"].is_unique
    assert list(flights.columns) == list(FLIGHT.columns)
    assert flights["late"].notna().sum() == 327_346
    assert 0.2 < flights["late"].mean() < 0.3


def test_the_second_load_reads_the_cache_and_gets_the_same(small: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    built = load_flights(small)

    def build_again(_: object) -> pd.DataFrame:
        raise AssertionError("the cache was not used")

    monkeypatch.setattr(shared.data.flights, "build_flights", build_again)
    assert digest(load_flights(small)) == digest(built)
    pd.testing.assert_frame_equal(load_flights(small), built)


def test_a_changed_raw_file_makes_a_new_table(small: Settings, change: Change) -> None:
    before = load_flights(small)
    change("weather", lambda sound: sound.assign(temp=sound["temp"] + 0.01))
    after = load_flights(small)
    assert (after["temp"] > before["temp"])[before["temp"].notna()].all()
    assert digest(after) != digest(before)


def test_each_raw_file_counts_in_the_digests(folder: Path) -> None:
    before = raw_digests(folder)
    for name in before:
        file = folder / name
        file.write_bytes(file.read_bytes() + b"\n")
        after = raw_digests(folder)
        assert {other for other in before if before[other] != after[other]} == {name}
        before = after


def test_two_processes_that_build_at_once_leave_one_whole_cache(small: Settings, folder: Path) -> None:
    code = (
        "from shared.data.flights import digest, load_flights; from shared.settings import read_settings;"
        "print(digest(load_flights(read_settings())))"
    )
    environment = {"FLIGHTS_DATA": str(folder), "MLOPS_STATE": str(small.state), "PYTHONPATH": str(PROJECT)}
    started = [
        subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    digests = {process.communicate()[0].strip() for process in started}
    assert digests == {digest(build_flights(read_raw(folder)))}
    assert sorted(file.suffix for file in (small.state / "shared").iterdir()) == [".parquet", ".sha256"]


def test_a_build_that_is_killed_leaves_no_cache(small: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(pd.DataFrame, "to_parquet", killed)
        with pytest.raises(KeyboardInterrupt):
            load_flights(small)
    assert not list(small.state.rglob("*.parquet"))
    assert len(load_flights(small)) > 10_000


@pytest.mark.parametrize(
    "change_of",
    [
        lambda table: table.assign(temp=table["temp"].where(table.index != 5, 0.0)),
        lambda table: table.assign(temp=table["temp"].where(table.index != 5)),
        lambda table: table.assign(carrier=table["carrier"].where(table.index != 5, "XX")),
        lambda table: table.assign(predicted_at=table["predicted_at"] + pd.Timedelta(microseconds=1)),
        lambda table: table.rename(columns={"temp": "dewp", "dewp": "temp"}),
        lambda table: table.astype({"distance": "float32"}),
        lambda table: table[list(reversed(table.columns))],
        lambda table: table.iloc[::-1],
        lambda table: table.iloc[:-1],
    ],
    ids=["value", "missing", "text", "instant", "names", "type", "column order", "row order", "fewer rows"],
)
def test_the_digest_changes_with_any_change(
    change_of: Callable[[pd.DataFrame], pd.DataFrame], flights: pd.DataFrame
) -> None:
    table = flights.head(1000)
    assert digest(change_of(table)) != digest(table)


def test_the_digest_does_not_change_with_what_is_no_change(flights: pd.DataFrame, tmp_path: Path) -> None:
    table = flights.head(1000)
    table.to_parquet(tmp_path / "table.parquet")
    same = [
        table.copy(),
        table.set_axis(range(7, 1007)),
        pd.concat([table.head(400), table.tail(600)]),
        pd.read_parquet(tmp_path / "table.parquet"),
    ]
    assert {digest(other) for other in same} == {digest(table)}


def test_what_other_code_made_goes_after_a_day_when_a_new_cache_is_written(small: Settings) -> None:
    place = small.level("shared")
    old, half, of_today = (place / name for name in ("flights-0123.parquet", "tmp1.part", "flights-4567.parquet"))
    for file in (old, half, of_today):
        file.touch()
    for file in (old, half):
        os.utime(file, (0, 0))
    load_flights(small)
    assert not old.exists()
    assert not half.exists()
    assert of_today.exists()
    assert len(list(place.iterdir())) == 3


def inverted(file: Path) -> None:
    table = pd.read_parquet(file)
    table.assign(late=1 - table["late"]).to_parquet(file)


ALTERED: dict[str, Callable[[Path], object]] = {
    "labels inverted": inverted,
    "half": lambda file: file.write_bytes(file.read_bytes()[:10_000]),
    "no checksum": lambda file: file.with_name(f"{file.name}.sha256").unlink(),
    "garbled checksum": lambda file: file.with_name(f"{file.name}.sha256").write_bytes(b"\xff\xfe"),
}


@pytest.mark.parametrize("how", ALTERED)
def test_an_altered_cache_is_never_used_but_built_again(
    small: Settings, how: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = digest(load_flights(small))
    (file,) = small.level("shared").glob("*.parquet")
    ALTERED[how](file)
    shared.data.flights._read.cache_clear()  # as in another process
    assert digest(load_flights(small)) == before
    printed = capsys.readouterr().out
    assert file.name in printed
    assert printed.count("\n") == 1
    shared.data.flights._read.cache_clear()
    assert digest(load_flights(small)) == before
    assert not capsys.readouterr().out
