"""What `make monitor` refuses, before anything is started."""

from contextlib import ExitStack

import pytest

from level5_monitoring import config
from level5_monitoring.loop import schedule
from shared.errors import UserError
from shared.settings import Settings
from tests.level5.served import serve_platform


def test_before_level_5_has_run_the_remedy_is_named(level5_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "configure", lambda: level5_settings)
    with pytest.raises(UserError, match=r"no reference of normal days.*Remedy: make level5"):
        schedule.monitor(config.configure())
    assert not (level5_settings.level("level3") / "prefect").exists(), "nothing was started"


def test_a_platform_that_runs_is_used_unless_it_promotes_by_itself(level5_settings: Settings) -> None:
    with ExitStack() as stack:
        there = serve_platform(level5_settings, None, stack)
        with schedule.platform(level5_settings) as service:
            assert service.startswith("http://127.0.0.1:")
        there.approval = False
        with pytest.raises(UserError, match=r"promotes by itself.*Remedy: end it"), schedule.platform(level5_settings):
            pass
