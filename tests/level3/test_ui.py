"""`make ui`: both pages are served, and every process that it starts ends with it."""

import os
import re
import subprocess
import sys
import time
import urllib.request
from typing import IO

import httpx
import pytest

from shared.waiting import answers
from tests.level3.world import World
from tests.support import interrupt

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name == "nt", reason="SIGINT")]


def start() -> tuple["subprocess.Popen[str]", IO[str]]:
    command, unbuffered = [sys.executable, "-m", "level3_training_pipeline", "ui"], {"PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | unbuffered)
    assert process.stdout
    return process, process.stdout


def test_ui_ends_at_once_while_it_starts(world: World) -> None:
    process, output = start()
    printed = ""
    while "Start the pages" not in printed:
        printed += output.read(1)
    begun = time.monotonic()
    interrupt(process)
    assert time.monotonic() - begun < 20
    assert process.returncode == 0
    assert "http" not in printed


def test_ui_serves_both_pages_and_ends_what_it_started(world: World, trained: int) -> None:
    process, output = start()
    printed = ""
    for line in output:
        printed += line
        if "Ctrl-C" in line:
            break
    addresses = re.findall(r"http://127\.0\.0\.1:\d+", printed)
    assert len(set(addresses)) == 2, printed
    for address in addresses:
        with urllib.request.urlopen(address, timeout=20) as answer:
            assert answer.status == 200
            assert b"<html" in answer.read().lower()
    create = f"{addresses[0]}/api/2.0/mlflow/experiments/create"
    for headers in ({"origin": "http://evil.example"}, {"host": "evil.example"}):
        assert httpx.post(create, json={"name": "foreign"}, headers=headers, timeout=60).status_code == 403
    interrupt(process)
    assert process.returncode == 0
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(addresses[0], timeout=2)
    assert answers(world.server.health)
