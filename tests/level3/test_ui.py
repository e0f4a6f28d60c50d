"""`make ui`: both pages are served, and every process that it starts ends with it."""

import os
import re
import subprocess
import sys
import time
import urllib.request

import pytest

from tests.level3.conftest import World
from tests.support import interrupt


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="SIGINT")
def test_ui_ends_at_once_while_it_starts(world: World) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "level3_training_pipeline", "ui"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout
    printed = ""
    while "Start the pages" not in printed:
        printed += process.stdout.read(1)
    begun = time.monotonic()
    interrupt(process)
    assert time.monotonic() - begun < 20
    assert process.returncode == 0
    assert "http" not in printed


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="SIGINT")
def test_ui_serves_both_pages_and_ends_what_it_started(world: World, trained: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "level3_training_pipeline", "ui"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout
    printed = ""
    for line in process.stdout:
        printed += line
        if "Ctrl-C" in line:
            break
    addresses = re.findall(r"http://127\.0\.0\.1:\d+", printed)
    assert len(addresses) == 2, printed
    for address in addresses:
        with urllib.request.urlopen(address, timeout=20) as answer:
            assert answer.status == 200
            assert b"<html" in answer.read().lower()
    interrupt(process)
    assert process.returncode == 0
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(addresses[0], timeout=2)
    assert world.server.healthy()
