"""What `make monitor` refuses, before anything is started."""

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
    monkeypatch.setenv("MLOPS_WORKSPACE", "level5")
    return read_settings()


def test_before_level_5_has_run_the_remedy_is_named(own: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "configure", lambda: own)
    with pytest.raises(UserError, match=r"no reference of normal days.*Remedy: make level5"):
        schedule.monitor()
    assert not (own.level("level3") / "prefect").exists(), "nothing was started"


def test_a_platform_that_runs_is_used_unless_it_promotes_by_itself(own: Settings) -> None:
    with ExitStack() as stack:
        there = serve_platform(own, None, stack)
        with schedule.platform(own) as service:
            assert service.startswith("http://127.0.0.1:")
        there.approval = False
        with pytest.raises(UserError, match=r"promotes by itself.*Remedy: end it"), schedule.platform(own):
            pass
