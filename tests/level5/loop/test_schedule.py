"""What `make monitor` refuses, before anything is started."""

from contextlib import ExitStack

import pytest

from level3_training_pipeline.orchestration import prefect_server
from level5_monitoring import config
from level5_monitoring.loop import schedule
from level5_monitoring.monitors.reference import Reference
from shared.errors import UserError
from shared.settings import Settings
from tests.level5.served import serve_platform


def test_without_a_reference_or_beside_a_running_platform_nothing_is_started(
    level5_settings: Settings, reference: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That platform may promote by itself, whatever the policy decides."""
    monkeypatch.setattr(prefect_server, "prefect_server", lambda _settings: pytest.fail("it starts something"))
    with pytest.raises(UserError, match=r"no reference of normal days.*Remedy: make level5"):
        schedule.monitor(level5_settings)
    reference.save(config.own(level5_settings))
    with ExitStack() as stack:
        serve_platform(level5_settings, None, stack)
        with pytest.raises(UserError, match=r"a platform runs in .* already\. Remedy: end it"):
            schedule.monitor(level5_settings)
