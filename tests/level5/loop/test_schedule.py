"""What `make monitor` refuses, before anything is started."""

from contextlib import ExitStack

import pytest

from level5_monitoring import config
from level5_monitoring.loop import schedule
from level5_monitoring.monitors.reference import Reference
from shared.errors import UserError
from shared.settings import Settings
from tests.level5.served import serve_platform


def test_without_a_reference_or_beside_a_running_platform_nothing_is_started(
    level5_settings: Settings, reference: Reference
) -> None:
    """That platform may promote by itself, whatever the policy decides."""
    with pytest.raises(UserError, match=r"no reference of normal days.*Remedy: make level5"):
        schedule.monitor(level5_settings)
    reference.save(config.own(level5_settings))
    with ExitStack() as stack:
        serve_platform(level5_settings, None, stack)
        with pytest.raises(UserError, match=r"a platform runs in .* already\. Remedy: end it"):
            schedule.monitor(level5_settings)
    assert not (level5_settings.level("level3") / "prefect").exists()
