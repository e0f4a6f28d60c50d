"""A platform that answers on loopback in this process, without workers, and loops of processes of their own."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from filelock import FileLock

from level2_devops.service.worker_process import address_of, open_socket
from level4_deployment.control.api import create_api
from level4_deployment.control.auth import make_tokens
from level4_deployment.control.client import ADDRESSES, LOCK, PlatformClient
from level4_deployment.control.control_plane import ControlPlane
from level4_deployment.control.registry_client import ModelRegistry
from level4_deployment.control.server import api_server
from level5_monitoring import config
from level5_monitoring.loop.controller import LoopController
from level5_monitoring.monitors.reference import Reference
from shared.processes.process_identity import this_process
from shared.settings import Settings


def serve_platform(settings: Settings, client: Any, stack: ExitStack) -> ControlPlane:
    """Serve this level's control plane until the stack is closed; client: of the registry."""
    folder = config.platform(settings)
    make_tokens(folder)
    log = stack.enter_context(config.open_log(settings))
    platform = ControlPlane(folder, ModelRegistry(lambda: client, folder), log, approval=True)
    listening = stack.enter_context(open_socket())
    stack.enter_context(api_server(create_api(platform), listening))
    stack.enter_context(FileLock(folder / LOCK))
    addresses = dict.fromkeys(("control", "service"), address_of(listening)) | {"process": this_process()}
    (folder / ADDRESSES).write_text(json.dumps(addresses))
    return platform


@contextmanager
def opened(settings: Settings, reference: Reference) -> Iterator[LoopController]:
    """A controller as a process of its own would have it."""
    with config.open_log(settings) as log, PlatformClient.at(config.platform(settings), "loop") as control:
        yield LoopController(settings, reference, log, control)
