"""What `make watch` refuses, before anything is started."""

import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from level5_monitoring import config
from level5_monitoring.loop import schedule
from shared.errors import UserError
from shared.settings import Settings, read_settings
from tests.level5.served import serve_platform


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("MLOPS_STATE", str(tmp_path))
    monkeypatch.setenv("MLOPS_WITHIN", "level5")
    return read_settings()


@pytest.mark.parametrize("every", ["0", "-3", "nan", "often"])
def test_a_clock_that_cannot_be_is_refused(
    every: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["schedule", f"--every={every}"])
    with pytest.raises(SystemExit):
        schedule.main()
    assert f"'{every}' is no time of at least 1 second" in capsys.readouterr().err


def test_before_level_5_has_run_it_says_so(own: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["schedule"])
    monkeypatch.setattr(config, "configure", lambda: own)
    with pytest.raises(UserError, match=r"normal days.*Remedy: make level5"):
        schedule.main()
    assert not (own.level("level3") / "prefect").exists(), "nothing was started"


def test_a_platform_that_runs_is_used_unless_it_promotes_by_itself(own: Settings) -> None:
    with ExitStack() as stack:
        there = serve_platform(own, None, stack)
        with schedule.platform(own) as service:
            assert service.startswith("http://127.0.0.1:")
        there.approval = False
        with pytest.raises(UserError, match=r"promotes by itself.*Remedy: end it"), schedule.platform(own):
            pass
