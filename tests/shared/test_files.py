"""A reader of a file sees all of it or what was there before; source files are identified by name and content."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from shared.files import commit_of, source_digest, write_json, write_parquet

TABLE = pd.DataFrame({"delay": [1.0, 2.0]})


def test_a_file_is_written_and_written_again(tmp_path: Path) -> None:
    for days in (1, 2):
        write_json(tmp_path / "a.json", {"days": days})
        assert json.loads((tmp_path / "a.json").read_text()) == {"days": days}
    write_parquet(TABLE, tmp_path / "new" / "a.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "new" / "a.parquet"), TABLE)
    assert {file.name for file in tmp_path.rglob("*") if file.is_file()} == {"a.json", "a.parquet", "a.parquet.sha256"}


@pytest.mark.parametrize(
    "write",
    [
        lambda file: write_json(file, {"a file": file}),  # which JSON cannot hold
        lambda file: write_parquet(TABLE.assign(delay=[1, "late"]), file),
    ],
    ids=["json", "parquet"],
)
def test_a_write_that_fails_leaves_what_was_there_and_nothing_beside_it(
    write: Callable[[Path], None], tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_text("before")
    with pytest.raises((TypeError, ValueError)):
        write(file)
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("file", "before")]


def test_the_digest_depends_on_names_and_contents_and_not_on_their_order(tmp_path: Path) -> None:
    for name, content in {"a.py": "1", "b.py": "2", "c.py": "1"}.items():
        (tmp_path / name).write_text(content)
    digest = source_digest(tmp_path, ["a.py", "b.py"])
    assert digest == source_digest(tmp_path, ["b.py", "a.py"])
    assert digest != source_digest(tmp_path, ["c.py", "b.py"])
    (tmp_path / "a.py").write_text("1 ")
    assert digest != source_digest(tmp_path, ["a.py", "b.py"])


def test_without_a_repository_there_is_no_commit(tmp_path: Path) -> None:
    assert commit_of(tmp_path) is None
