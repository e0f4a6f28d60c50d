"""The platform as a child process: a client waits for one that is still starting."""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from filelock import FileLock
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from level2_devops.service.worker_process import address_of, open_socket
from level4_deployment.control.client import ADDRESSES, LOCK
from level4_deployment.control.platform_process import RunningPlatform
from level4_deployment.control.server import api_server
from shared.files import write_json
from shared.processes.process_identity import this_process


def ready(_request: Request) -> JSONResponse:
    return JSONResponse({})


def test_a_platform_that_has_no_address_yet_is_waited_for(tmp_path: Path) -> None:
    """So it is started again after a kill: it holds the lock, and loads its libraries."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    app = Starlette(routes=[Route("/ready", ready)])
    try:
        with (
            FileLock(tmp_path / LOCK),
            open_socket() as listening,
            api_server(app, listening),
            ThreadPoolExecutor() as pool,
        ):
            waiting = pool.submit(RunningPlatform(tmp_path, process).wait_until_ready)
            time.sleep(0.3)
            assert not waiting.done()
            addresses = dict.fromkeys(("control", "service"), address_of(listening))
            write_json(tmp_path / ADDRESSES, addresses | {"process": this_process()})
            waiting.result(timeout=20)
    finally:
        process.kill()
        process.wait()
