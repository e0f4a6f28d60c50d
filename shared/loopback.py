"""Servers on this machine: a free port for the next one, and whether one answers."""

import socket
import urllib.error
import urllib.request


def free_port() -> int:
    """A port on loopback that no process listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(url: str, timeout: float = 2.0) -> bool:
    """Whether a server answers at `url` with status 200, within `timeout` seconds."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # past any proxy
    try:
        with direct.open(url, timeout=timeout) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
