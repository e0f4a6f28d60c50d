"""`make notebook`: JupyterLab on a copy."""

from http import HTTPStatus
from pathlib import Path

import httpx
import pytest

from level1_notebook import open_notebook
from level1_notebook.jupyter_environment import NOTEBOOK
from level1_notebook.open_notebook import has_screen, lab, own_copy
from shared.errors import UserError
from shared.settings import Settings


def test_the_desk_has_a_copy_and_keeps_what_its_user_wrote(settings: Settings) -> None:
    copy = own_copy(settings)
    assert copy.read_bytes() == NOTEBOOK.read_bytes()
    assert settings.state in copy.parents
    copy.write_text("mine")
    assert own_copy(settings).read_text() == "mine"


def test_no_browser_is_opened_on_a_linux_without_a_display(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.delenv("DISPLAY", raising=False)
    assert not has_screen()
    monkeypatch.setenv("DISPLAY", ":0")
    assert has_screen()


@pytest.mark.slow
def test_a_lab_that_does_not_start_says_why(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_notebook, "_options", lambda *_: ["--ServerApp.port=no-number"])
    with (
        pytest.raises(UserError, match=r"does not answer at http://127\.0\.0\.1:\d+ .*jupyterlab\.log"),
        lab(settings, own_copy(settings).parent),
    ):
        pytest.fail("there is no lab")


@pytest.mark.slow
def test_the_lab_serves_the_copy_on_loopback_to_the_holder_of_the_token_only(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    with lab(settings, own_copy(settings).parent) as (address, process):
        assert address.startswith("http://127.0.0.1:")
        base, token = address.split("/lab/tree/")[0], address.split("token=")[1]
        answer = httpx.get(f"{base}/api/contents", headers={"Authorization": f"token {token}"}, timeout=60)
        assert [item["name"] for item in answer.json()["content"]] == [NOTEBOOK.name]
        assert httpx.get(f"{base}/api/contents", timeout=60).status_code == HTTPStatus.FORBIDDEN
    assert process.poll() is not None
    assert not (tmp_path / "home").exists()
