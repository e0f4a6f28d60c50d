"""A reader of a file sees all of it or what was there before; source files are identified by name and content."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from shared.files import commit_of, read_json, read_parquet, short_commit, source_digest, write_json, write_parquet

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


def refused(times: int, act: Callable[..., Any]) -> Callable[..., Any]:
    """As on Windows, where a file cannot be read or replaced while another process does the other."""
    left = [times]

    def do(*words: Any, **named: Any) -> Any:
        if left[0]:
            left[0] -= 1
            raise PermissionError(13, "the file is used by another process")
        return act(*words, **named)

    return do


def test_a_file_that_is_replaced_just_now_is_read_a_moment_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a.json"
    monkeypatch.setattr(Path, "replace", refused(3, Path.replace))
    write_json(file, {"days": 1})
    monkeypatch.setattr(Path, "read_bytes", refused(3, Path.read_bytes))
    assert read_json(file, dict, "none") == {"days": 1}
    monkeypatch.setattr(Path, "read_bytes", refused(1000, Path.read_bytes))
    with pytest.raises(PermissionError):
        read_json(file, dict, "none")


def test_a_commit_is_cut_but_never_without_its_dirty() -> None:
    assert short_commit("0123456789abcdef") == "01234567"
    assert short_commit("0123456789abcdef-dirty") == "01234567-dirty"
    assert short_commit("unknown") == "unknown"


def test_a_table_is_whole_whenever_its_writer_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between any two of the renames, what was there before, or what is new, can be read."""
    file, changed = tmp_path / "a.parquet", TABLE.assign(delay=3.0)
    write_parquet(TABLE, file)
    replace = Path.replace
    seen = []

    def look(self: Path, target: Path) -> Path:
        moved = replace(self, target)
        seen.append(read_parquet(file, "none")["delay"].iloc[0])
        return moved

    monkeypatch.setattr(Path, "replace", look)
    write_parquet(changed, file)
    assert seen == [1.0, 3.0]
