"""Every state file, garbled in every way: the error names file and remedy, or the file is made again."""

import io
import json
import os
import re
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pytest
from filelock import FileLock

from level2_devops.model import ModelCard, fit, load, save
from level2_devops.release.service_status import ServiceStatus, read_service_status
from level2_devops.release.store import Store
from level3_training_pipeline.library_setup import set_up_libraries
from level3_training_pipeline.pipeline import data, flow, record
from level3_training_pipeline.pipeline.tune import START
from level3_training_pipeline.tracking import mlflow_runs
from level4_deployment.control import auth, client
from level4_deployment.prediction_log import open_log, url_of
from level4_deployment.serving import routes
from level4_deployment.serving.package import Package
from level5_monitoring import config
from level5_monitoring.live_demo.clock import DELAYED, Clock
from level5_monitoring.live_year import year_record
from level5_monitoring.monitors import reference
from level5_monitoring.policy_backtest import calendars, comparison
from shared.artefacts import MODEL_CARD, MODEL_FILE
from shared.errors import UserError
from shared.files import write_json, write_parquet
from shared.processes.process_identity import this_process
from shared.progress import LEVELS, keep_summary, read_summaries
from shared.score import score
from shared.settings import PROJECT, Settings
from tests.project.sources import PACKAGES

TABLE = pd.DataFrame({"flight_id": ["2013-04-01-B61-JFK"], "late": [1.0], "frozen": [0.2]})
SCORE = score([0, 1, 0], [0.1, 0.8, 0.3])


class StateFile(NamedTuple):
    """How a state file is made and read; removed: whether the remedy is to remove it, else it is made again."""

    make: Callable[[Settings], Path]
    read: Callable[[Settings], object]
    removed: bool = False


def _json(file: Path, content: dict[str, Any]) -> Path:
    write_json(file, content)
    return file


def _parquet(file: Path) -> Path:
    write_parquet(TABLE, file)
    return file


def _summary(settings: Settings) -> Path:
    for level in LEVELS:
        keep_summary(settings, level, SCORE, steps=2)
    return settings.level("level3") / "summary.json"


def _status(settings: Settings) -> Path:
    status = ServiceStatus("http://127.0.0.1:1", "1.0.0", 1, None, this_process(), 1)
    return _json(settings.level("level2") / "serving.json", asdict(status))


def _card(settings: Settings) -> Path:
    folder = settings.level("level2")
    (folder / MODEL_FILE).write_bytes((settings.state.parent / MODEL_FILE).read_bytes())
    return _json(folder / MODEL_CARD, {"base_rate": 0.2, "rows": 5, "trained_as_of": "2013-04-01"})


def _addresses(settings: Settings) -> Path:
    addresses = {"control": "http://127.0.0.1:1", "service": "http://127.0.0.1:2", "process": this_process()}
    return _json(settings.level("level4") / client.ADDRESSES, addresses)


def _read_addresses(settings: Settings) -> object:
    with FileLock(settings.level("level4") / client.LOCK):
        return client.read_addresses(settings.level("level4"))


def _digests(settings: Settings) -> Path:
    auth.make_tokens(settings.level("level4"))
    return settings.level("level4") / auth.TOKENS / "digests.json"


def _routes(settings: Settings) -> Path:
    routes.write_routes(settings.level("level4"), routes.Routes(3, Package(1, {"model.onnx": "0" * 64})))
    return settings.level("level4") / routes.ROUTES


def _faults(settings: Settings) -> Path:
    fault = year_record.InjectedFault("celsius", 1, "temperatures in °C", "a fifth", "2013-04-02")
    year_record.write_faults(settings.level("level5"), [fault])
    return settings.level("level5") / year_record.FAULTS_FILE


def _comparison(settings: Settings) -> Path:
    gain, share = (0.009, 0.005, 0.012), (0.9, 0.5, 1.2)
    result = comparison.PolicyResult(SCORE, comparison.Effort(1, 0), gain, share, 0, 0)
    comparison.keep_results(settings, dict.fromkeys(calendars.POLICIES, result), 0, faults=True)
    return config.own(settings) / comparison.RESULTS_FILE


def _reference(settings: Settings, name: str) -> Path:
    of = {"missing": {"temp": 0.1}, "spread": {"temp": (1.0, 2.0)}, "distinct": {"temp": 3.0}, "drift": {"temp": 0.1}}
    steps, codes, flights = {"visib": [1.0]}, {"carrier": ["B6"]}, {"JFK": 100.0}
    reference.Reference(TABLE, steps=steps, codes=codes, flights=flights, **of).save(config.own(settings))  # type: ignore[arg-type]
    return config.own(settings) / name


JSON = {
    "a level's summary": StateFile(_summary, read_summaries),
    "the service's status": StateFile(_status, lambda settings: read_service_status(Store(settings.level("level2")))),
    "the model's card": StateFile(_card, lambda settings: load(settings.level("level2"))),
    "the platform's addresses": StateFile(_addresses, _read_addresses),
    "the routes": StateFile(_routes, lambda settings: routes.read_routes(settings.level("level4"))),
    "the faults": StateFile(_faults, lambda settings: Clock(settings.level("level5")), removed=True),
    "the comparison": StateFile(_comparison, comparison.missed_aims),
    "the reference's limits": StateFile(
        lambda settings: _reference(settings, reference.LIMITS),
        lambda settings: reference.load_reference(config.own(settings)),
    ),
}
TABLES = {
    "history and features": StateFile(
        lambda settings: _parquet(settings.level("level3") / "features.parquet"),
        lambda settings: data.read(settings.level("level3") / "features.parquet"),
    ),
    "the reference's sample": StateFile(
        lambda settings: _reference(settings, reference.FILE),
        lambda settings: reference.load_reference(config.own(settings)),
    ),
    "delayed labels": StateFile(
        lambda settings: _parquet(settings.level("level5") / DELAYED),
        lambda settings: Clock(settings.level("level5")),
        removed=True,
    ),
    "the calendar's predictions": StateFile(
        lambda settings: _parquet(config.own(settings) / calendars.PREDICTIONS_FILE),
        lambda settings: calendars.read_predictions(config.own(settings)),
    ),
}


def _another_table(content: bytes) -> bytes:
    changed = io.BytesIO()
    pd.read_parquet(io.BytesIO(content)).assign(late=0.0).to_parquet(changed)
    return changed.getvalue()


Damage = Callable[[bytes], bytes]
BYTES: dict[str, Damage] = {
    "empty": lambda _: b"",
    "half": lambda content: content[: len(content) // 2],
    "binary": lambda content: b"\x80\x04\xff\xfe" + content[::-1],
}
FIELDS: dict[str, Damage] = {
    "another type": lambda _: b"[1]\n",
    "other types": lambda content: json.dumps({name: {"of": ["another"]} for name in json.loads(content)}).encode(),
    "an unknown field": lambda content: json.dumps(json.loads(content) | {"unknown": 1}).encode(),
    "a missing field": lambda content: json.dumps(dict([*json.loads(content).items()][1:])).encode(),
}
CASES = [(what, damage) for what in JSON for damage in {**BYTES, **FIELDS}]
CASES += [(what, damage) for what in TABLES for damage in (*BYTES, "other values")]
DAMAGES: dict[str, Damage] = {**BYTES, **FIELDS, "other values": _another_table}


@pytest.fixture
def settings(tmp_path: Path, known: pd.DataFrame, model: Path) -> Settings:
    (tmp_path / MODEL_FILE).write_bytes((model / MODEL_FILE).read_bytes())
    return Settings(pd.Timestamp("2013-04-01").date(), None, tmp_path / "state")


@pytest.fixture(scope="session")
def model(known: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    save(fit(known.iloc[::300], max_iter=2), ModelCard(0.2, 5, "2013-04-01"), folder)
    return folder


@pytest.mark.parametrize(("what", "damage"), CASES, ids=[f"{what}-{damage}" for what, damage in CASES])
def test_a_garbled_file_is_named_with_a_remedy_that_works(settings: Settings, what: str, damage: str) -> None:
    kind = {**JSON, **TABLES}[what]
    file = kind.make(settings)
    kind.read(settings)
    file.write_bytes(DAMAGES[damage](file.read_bytes()))
    with pytest.raises(UserError) as error:
        kind.read(settings)
    message = str(error.value)
    assert str(file) in message
    assert "\n" not in message
    remedy = message.partition("Remedy: ")[2]
    assert remedy
    if kind.removed:
        assert f"remove {file}" in remedy
        file.unlink()
    else:
        kind.make(settings)
    kind.read(settings)


@pytest.mark.parametrize("damage", BYTES)
def test_garbled_tokens_are_made_anew_as_the_remedy_says(settings: Settings, damage: str) -> None:
    file = _digests(settings)
    file.write_bytes(BYTES[damage](file.read_bytes()))
    with pytest.raises(UserError, match=f"{file} is garbled .* Remedy: remove {file.parent} and start the platform"):
        auth.read_digests(settings.level("level4"))
    for one in file.parent.iterdir():
        one.unlink()
    file.parent.rmdir()
    auth.make_tokens(settings.level("level4"))
    token = auth.read_token(settings.level("level4"), "operator")
    assert auth.name_of(auth.read_digests(settings.level("level4")), token, "operate") == "operator"


@pytest.mark.parametrize("damage", [*BYTES, *FIELDS])
def test_a_garbled_line_of_the_history_is_named_and_can_be_removed(settings: Settings, damage: str) -> None:
    store = Store(settings.level("level2"))
    for version in ("1.0.0", "1.0.1"):
        store.record("building", version, "ann")
    file = store.home / "history.jsonl"
    first, second = file.read_bytes().splitlines()
    spoilt = DAMAGES[damage](first) if damage != "a missing field" else b'{"at": "2013-04-01", "who": "ann"}'
    file.write_bytes(spoilt + b"\n" + second + b"\n")
    if damage != "an unknown field":  # events have fields of their own
        with pytest.raises(UserError, match=f"{file} is garbled .* Remedy: remove its line 1"):
            store.history()
        file.write_bytes(second + b"\n")
    assert store.history()[-1]["version"] == "1.0.1"
    assert store.next_version() == "1.0.2"
    file.unlink()
    (store.home / "releases" / "1.0.1").mkdir(parents=True)
    assert store.next_version() == "1.0.2", "a number is never used twice, even without the history"


@pytest.mark.parametrize("damage", [*BYTES, *FIELDS])
def test_garbled_tuning_is_done_again(
    settings: Settings, damage: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record, "record_trial", lambda *_: None)
    monkeypatch.setattr(flow, "MlflowClient", lambda: None)  # which would make a store in the current folder
    monkeypatch.setattr(mlflow_runs, "runs", lambda *_: ["the run that tuned"])
    features = _parquet(settings.level("level3") / "features.parquet")
    snapshot = data.Snapshot(features, "0" * 64, 1, settings.now, {})

    def tune(run: str) -> tuple[Any, str]:
        return flow.tune_step.fn(snapshot, features, 1, run, "key")

    assert tune("first")[1] == "first"
    assert tune("second")[1] == "first", "it was kept"
    (kept,) = features.parent.glob("tuned-*.json")
    kept.write_bytes(DAMAGES[damage](kept.read_bytes()))
    capsys.readouterr()
    best, run = tune("third")
    assert (best.parameters, run) == (START, "third")
    assert f"{kept.name} is garbled" in capsys.readouterr().out
    monkeypatch.setattr(mlflow_runs, "runs", lambda *_: [])  # the store was moved away, as its remedy says
    assert tune("fourth")[1] == "fourth"


def _log(settings: Settings) -> Path:
    with open_log(url_of(settings.level("level4"))):
        pass
    return settings.level("level4") / "log.db"


DATABASES: dict[str, tuple[Callable[[Settings], Path], Callable[[Settings], object]]] = {
    "the prediction log": (_log, _log),
    "the tracking store": (
        lambda settings: settings.level("level3") / "mlflow.db",
        mlflow_runs.open_tracking,
    ),
    "Prefect's": (
        lambda settings: settings.level("level3") / "prefect" / "prefect.db",
        set_up_libraries,
    ),
}


@pytest.mark.parametrize("damage", ["half", "binary", "empty"])
@pytest.mark.parametrize("what", DATABASES)
def test_a_garbled_database_is_named_with_a_remedy_that_works(settings: Settings, what: str, damage: str) -> None:
    where, use = DATABASES[what]
    file = where(settings)
    file.parent.mkdir(exist_ok=True)
    if not file.exists():
        with sqlite3.connect(file) as database:
            database.execute("CREATE TABLE numbers (number INTEGER)")
        database.close()
    content = file.read_bytes()
    file.write_bytes(b"\x80\x04 no database at all, but a hundred and more bytes of something else" * 9)
    if damage == "empty":
        file.write_bytes(b"")
        os.utime(file, (0, 0))  # a new database is empty for a moment
    if damage == "half":
        file.write_bytes(content[: 4096 + 512][:512] + b"\xff" * 3584)
    with pytest.raises(UserError, match=rf"{file} is garbled .* Remedy: move {file} .*away"):
        use(settings)
    file.rename(file.with_suffix(".away"))
    if what != "the tracking store":  # whose making takes long; others test it
        use(settings)


READERS = re.compile(
    r"json\.loads?\([^)]*(read_text|read_bytes|open\()|json\.load\(|pd\.read_parquet|ParquetFile|pickle\.load|joblib"
)
KNOWN = {  # readers of what is no state file, or is a lesson
    ("shared/files.py", "read_parquet"),
    ("shared/files.py", "json.loads"),
    ("level1_notebook/receiver.py", "pickle.load"),
    ("level1_notebook/failure_demos.py", "read_parquet"),
    ("level2_devops/release/gates.py", "json.load("),  # a service's answer
    ("level2_devops/load_client.py", "read_text"),  # what its parent has just written
    ("level2_devops/service/worker_process.py", "read_text"),  # a log, whose last line may be half
    ("level4_deployment/benchmarks/serving.py", "json.load("),  # what a client has printed
}


def _readers() -> Iterator[tuple[str, str]]:
    for file in (one for package in PACKAGES for one in sorted((PROJECT / package).rglob("*.py"))):
        for line in file.read_text(encoding="utf-8").splitlines():
            if READERS.search(line):
                yield file.relative_to(PROJECT).as_posix(), line.strip()


def test_every_state_file_is_read_by_the_one_reader() -> None:
    """A new one that reads by itself fails here: use read_json, read_parquet or garbled of shared.files."""
    unknown = [(file, line) for file, line in _readers() if not any(file == f and word in line for f, word in KNOWN)]
    assert unknown == []
