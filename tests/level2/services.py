"""A service as a process of its own, with a client for it."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx


@dataclass
class Service:
    """A running service. ready: the line that it printed when it was ready, or not ready."""

    process: "subprocess.Popen[str]"
    ready: dict[str, str]
    client: httpx.Client
    log: Path

    @property
    def address(self) -> str:
        """Its URL."""
        return self.ready["address"]

    def metric(self, line: str) -> float:
        """The value of one line of /metrics."""
        found = [row for row in self.client.get("/metrics").text.splitlines() if row.startswith(line + " ")]
        return float(found[0].split()[-1]) if found else 0.0


Starter = Callable[[Path], Service]


def start_service_process(model: Path, log: Path) -> Service:
    """Start the service with the model in this folder, and wait for its first line."""
    command = [sys.executable, "-m", "level2_devops.service", "--model", str(model), "--version", "1.2.3"]
    with log.open("w") as lines:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=lines, text=True)
    assert process.stdout
    ready = json.loads(process.stdout.readline())
    return Service(process, ready, httpx.Client(base_url=ready["address"], timeout=20), log)


def stop(service: Service) -> None:
    """Stop it gracefully."""
    service.client.close()
    service.process.terminate()
    service.process.communicate(timeout=20)
