"""The live demo's process: it opens the page's address first, then loads what it needs, and replays the year.

`make up` starts it in the background and `make down` ends it with SIGTERM; all that it has started ends with it.
"""

from contextlib import ExitStack

from level2_devops.service.worker_process import address_of, open_socket
from level4_deployment.control.server import api_server
from level5_monitoring import config
from level5_monitoring.live_demo.doorway import Doorway
from level5_monitoring.live_demo.processes import configure, write_address
from shared.environment import begin
from shared.errors import command


def main() -> None:
    """Serve until SIGTERM."""
    settings = configure()
    with ExitStack() as opened:  # `up` has put this process on record
        doorway, listening = Doorway(), opened.enter_context(open_socket())
        opened.enter_context(api_server(doorway, listening))
        address = address_of(listening)
        write_address(config.own(settings), address)
        from level5_monitoring.live_demo import demo

        demo.run(settings, opened, doorway, address)


if __name__ == "__main__":
    begin()
    command(main)
