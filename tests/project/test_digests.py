"""The digests of code: they change with all code that a table or a model depends on, and with no other code.

`shared.data.flights.CODE` names the cache of the flights, `lineage.CODE` is part of a version's record. Both lists
are compared with the imports, so that they stay complete when modules move.
"""

import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest

from level3_training_pipeline.tracking import lineage
from shared.data import flights
from shared.data.raw import data_folder
from shared.settings import PROJECT
from tests.project.sources import import_closure

NO_EFFECT = {
    "shared/console.py": "prints",
    "shared/environment.py": "removes variables",
    "shared/moving_line.py": "prints",
    "shared/errors.py": "raises errors",
    "shared/files.py": "writes and reads files as they are",
}
NO_EFFECT_ON_THE_TABLE = {**NO_EFFECT, "shared/score.py": "is printed"}
NO_EFFECT_ON_A_MODEL = {
    **NO_EFFECT,
    "level3_training_pipeline/library_setup.py": "sets libraries up, and refuses a copied store",
    "shared/artefacts.py": "names files",
    "shared/pictures.py": "sets how pictures look",
    "shared/processes/children.py": "starts and ends processes",
    "level3_training_pipeline/pipeline/plots.py": "draws pictures of a finished evaluation",
    "level3_training_pipeline/pipeline/record.py": "writes to MLflow what the steps have found",
    "level3_training_pipeline/tracking/lineage.py": "identifies code and environment",
    "level3_training_pipeline/tracking/mlflow_runs.py": "opens the tracking store",
    "shared/processes/process_identity.py": "finds runs of processes that have ended",
    "shared/processes/at_work.py": "registers commands",
    "shared/processes/reset.py": "removes results, and says which",
}


@pytest.mark.parametrize(
    ("start", "code", "no_effect"),
    [
        ("shared/data/flights.py", flights.CODE, NO_EFFECT_ON_THE_TABLE),
        ("level3_training_pipeline/pipeline/flow.py", lineage.CODE, NO_EFFECT_ON_A_MODEL),
    ],
    ids=["table", "model"],
)
def test_every_module_that_is_imported_is_in_the_digest_or_known_to_have_no_effect(
    start: str, code: list[str], no_effect: dict[str, str]
) -> None:
    imported = import_closure(start)
    assert len(set(code)) == len(code)
    assert set(code) | set(no_effect) == imported
    assert not set(code) & set(no_effect)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the code, on which both digests are computed."""
    for package in ("shared", "level2_devops", "level3_training_pipeline"):
        shutil.copytree(PROJECT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__", "*.png"))
    for module in (flights, lineage):
        monkeypatch.setattr(module, "PROJECT", tmp_path)
    return tmp_path


OTHER_CODE = [
    *NO_EFFECT_ON_A_MODEL,
    "shared/__init__.py",
    "shared/progress.py",
    "shared/data/replay.py",
    "level2_devops/demo.py",
    "level3_training_pipeline/demo.py",
    "level3_training_pipeline/orchestration/schedule.py",
]


@pytest.mark.parametrize(
    ("modules", "table", "version"),
    [(flights.CODE, True, True), ({*lineage.CODE} - {*flights.CODE}, False, True), (OTHER_CODE, False, False)],
    ids=["of the table", "of the training", "other"],
)
def test_an_edit_of_code_makes_another_table_or_version_if_it_may_have_an_effect(
    modules: Iterable[str], table: bool, version: bool, project: Path
) -> None:
    for module in modules:
        before = flights.cache_key(data_folder()), lineage.code_digest()
        (project / module).write_text((project / module).read_text() + "# a comment\n")
        after = flights.cache_key(data_folder()), lineage.code_digest()
        assert (before[0] != after[0], before[1] != after[1]) == (table, version), module


def test_a_moved_module_changes_the_digest(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = lineage.code_digest()
    (project / "shared/scores.py").write_bytes((project / "shared/score.py").read_bytes())
    moved = [name.replace("shared/score.py", "shared/scores.py") for name in lineage.CODE]
    monkeypatch.setattr(lineage, "CODE", moved)
    assert lineage.code_digest() != before
