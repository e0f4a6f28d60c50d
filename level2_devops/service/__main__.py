"""`python -m level2_devops.service`: serve one release until the process is asked to stop."""

import argparse
import socket
import sys
from pathlib import Path

from shared.environment import begin
from shared.errors import on_end


def main() -> None:
    """Serve until SIGTERM or Ctrl-C, then end with status 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="folder with the model and its card")
    parser.add_argument("--version", required=True, help="name of this release")
    parser.add_argument("--host", default="127.0.0.1", help="in a container: 0.0.0.0")
    parser.add_argument("--port", type=int, default=0, help="0 for a free one")
    parser.add_argument("--fd", type=int, help="an inherited listening socket, instead of a port")
    options = parser.parse_args()

    from level2_devops.service.app import create_app
    from level2_devops.service.observability import log_as_json
    from level2_devops.service.uvicorn_server import GracefulServer

    log_as_json()
    on_end(lambda: sys.exit(0))  # uvicorn raises the signal again once it has stopped
    listener = socket.socket(fileno=options.fd) if options.fd else socket.create_server((options.host, options.port))
    app = create_app(options.model, options.version)
    GracefulServer(app, options.version, app.state.reason).run([listener])


if __name__ == "__main__":
    begin()
    main()
