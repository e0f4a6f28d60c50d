"""The service answers fuzzed requests as its OpenAPI schema documents."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.level2.conftest import Service


@pytest.mark.slow
def test_no_request_that_follows_or_breaks_the_schema_gets_a_5xx(service: Service, tmp_path: Path) -> None:
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{service.ready['address']}/openapi.json"),
        *("--checks", "not_a_server_error,status_code_conformance,response_schema_conformance"),
        *("--max-examples", "40", "--seed", "2013", "--phases", "examples,coverage,fuzzing"),
    ]
    plain = {**os.environ, "NO_COLOR": "1"}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=plain, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
