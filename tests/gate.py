"""Where a test has not got what it needs."""

import os
from typing import NoReturn

import pytest


def without(what: str) -> NoReturn:
    """Skip the test, unless NOTHING_SKIPPED=1 says that what is missing is an error."""
    if os.environ.get("NOTHING_SKIPPED") == "1":
        pytest.fail(f"{what}, and NOTHING_SKIPPED=1")
    pytest.skip(what)
