"""`python -m level2_devops.service.guarded MODULE …`: run a library's server that has no such checks of its own.

Prefect and Evidently check neither Host nor Origin, and have no setting for it: any web page could start a training.
Both start their server with `uvicorn.run`.
"""

import argparse
import runpy
import sys
from typing import Any

from shared.environment import begin


def guard() -> None:
    """From now on, what `uvicorn.run` serves in this process checks its callers, and its connections have limits."""
    import uvicorn
    from starlette.types import ASGIApp

    from level2_devops.service.limits import CallerMiddleware
    from level2_devops.service.uvicorn_server import LimitedConnection

    run = uvicorn.run

    def run_guarded(app: ASGIApp, **options: Any) -> None:
        run(CallerMiddleware(app), http=LimitedConnection, **options)

    uvicorn.run = run_guarded  # type: ignore[assignment]


if __name__ == "__main__":
    begin()
    parser = argparse.ArgumentParser(prog="python -m level2_devops.service.guarded")
    parser.add_argument("words", nargs=argparse.REMAINDER, help="a module and its arguments")
    sys.argv = parser.parse_args().words
    guard()
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
