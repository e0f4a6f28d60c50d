"""A platform that answers on loopback in this process, without workers, and loops of processes of their own."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import uvicorn
from filelock import FileLock

from level2_devops import address_of, open_socket
from level4_deployment.access import make_tokens
from level4_deployment.api import create_api
from level4_deployment.client import ADDRESSES, LOCK
from level4_deployment.control import Platform
from level4_deployment.log import open_log, url_of
from level4_deployment.serve import api_server
from level5_monitoring import home
from level5_monitoring.loop import Loop
from level5_monitoring.reference import Reference
from shared.settings import Settings


def serve_platform(settings: Settings, client: Any, stack: ExitStack) -> Platform:
    """Serve the control plane of this level until the stack is closed; client: of the registry."""
    folder = home.platform(settings)
    make_tokens(folder)
    platform = Platform(folder, lambda: client, open_log(url_of(folder)), approval=True)
    listening = stack.enter_context(open_socket())
    stack.enter_context(api_server(uvicorn.Config(create_api(platform), log_config=None), listening))
    stack.enter_context(FileLock(folder / LOCK))
    (folder / ADDRESSES).write_text(json.dumps(dict.fromkeys(("control", "service"), address_of(listening))))
    return platform


@contextmanager
def opened(settings: Settings, reference: Reference) -> Iterator[Loop]:
    """A loop of a process of its own."""
    loop = Loop(settings, reference)
    try:
        yield loop
    finally:
        loop.control.http.close()
        loop.log.dispose()
