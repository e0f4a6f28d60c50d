"""The artefact: a release is served only with exactly the files that were released."""

import json
from pathlib import Path

import pytest

from level2_devops.release.artefact import MANIFEST, add_model, checksums, copy_folder, copy_source, seal, verify
from level2_devops.release.store import ReleaseError
from shared.settings import PROJECT


@pytest.fixture
def app(small_model: Path, tmp_path: Path) -> Path:
    """An unsealed release of this project with the small model."""
    copy_source(PROJECT, tmp_path / "app")
    add_model(small_model, tmp_path / "app")
    return tmp_path / "app"


def sealed(app: Path) -> str:
    return seal(app, "1.0.0", "0123abc", "tester", "a note")


def test_it_holds_code_lock_and_model_records_their_origin_and_is_read_only(app: Path) -> None:
    assert verify(app, sealed(app)) == len(checksums(app)) + 1  # and the manifest
    manifest = json.loads((app / MANIFEST).read_text())
    some = {"shared/data/schema.py", "level2_devops/service/app.py", "requirements.txt", "model/model.skops"}
    assert some <= set(manifest["files"])
    facts = {name: manifest[name] for name in ("version", "commit", "built_by", "note")}
    assert facts == {"version": "1.0.0", "commit": "0123abc", "built_by": "tester", "note": "a note"}
    assert not [file for file in app.rglob("*") if file.is_file() and file.stat().st_mode & 0o222]


@pytest.mark.parametrize("damage", ["changed", "missing", "too many", "manifest"])
def test_a_changed_missing_or_additional_file_is_named(app: Path, damage: str) -> None:
    digest = sealed(app)
    name = {"changed": "model/model.json", "missing": "shared/score.py", "too many": "level2_devops/x.py"}.get(
        damage, MANIFEST
    )
    file = app / name
    if file.exists():
        file.chmod(0o644)
    if damage == "missing":
        file.unlink()
    else:
        file.write_text((file.read_text() if file.exists() else "") + " ")
    with pytest.raises(ReleaseError, match=rf"{name}: 1 of \d+ files in .* are not what was released\. Remedy: "):
        verify(app, digest)


def test_a_manifest_rewritten_to_match_altered_files_is_refused(app: Path) -> None:
    digest = sealed(app)
    for name in ("model/model.json", MANIFEST):
        (app / name).chmod(0o644)
    (app / "model" / "model.json").write_text("{}")
    sealed(app)
    with pytest.raises(ReleaseError, match=MANIFEST):
        verify(app, digest)


def test_without_a_model_there_is_nothing_to_release(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    with pytest.raises(ReleaseError, match=r"model\.skops is not in .*Remedy: train first"):
        add_model(tmp_path, tmp_path / "app")


def test_a_copy_of_a_read_only_checkout_can_be_removed(tmp_path: Path) -> None:
    folder = tmp_path / "checkout" / "shared" / "data"
    folder.mkdir(parents=True)
    (folder / "code.py").touch(mode=0o444)
    folder.chmod(0o555)
    folder.parent.chmod(0o555)
    copy_folder(folder.parent, tmp_path / "copy")
    assert [oct((tmp_path / "copy" / name).stat().st_mode & 0o777) for name in ("", "data")] == ["0o755"] * 2
