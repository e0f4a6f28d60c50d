"""Skip a test whose tool is missing, or fail it where nothing may be skipped."""

import os
from typing import NoReturn

import pytest


def without(what: str) -> NoReturn:
    """Skip the test, because `what` is missing; with NOTHING_SKIPPED=1 fail it."""
    if os.environ.get("NOTHING_SKIPPED") == "1":
        pytest.fail(f"{what}, and NOTHING_SKIPPED=1")
    pytest.skip(what)
