"""`make down`: end the live demo, and nothing else. `make up` goes on where it stood."""

from level5_monitoring import config
from level5_monitoring.live_demo.processes import ProcessRecord, configure, end
from shared.console import console, step
from shared.errors import command


def main() -> None:
    """End it, wait for it, and say so."""
    settings = configure()
    record = ProcessRecord(config.own(settings))
    if not record.processes:
        console.print("No demo is up.")
        return
    with step("End the demo: a turn that is under way is finished"):
        ended = end(settings, record)
    console.print(f"Ended: {', '.join(ended)}." if ended else "It had ended by itself; its record is cleared away.")


if __name__ == "__main__":
    command(main)
