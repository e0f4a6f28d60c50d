"""`make data-arrives MONTH=2013-04`: tell the pipeline that a month of data is complete."""

import os
import sys

import pandas as pd

from level3_training_pipeline.prefect_server import running_server
from level3_training_pipeline.quiet import set_up_libraries
from level3_training_pipeline.schedule import MONTH_ARRIVED
from shared.console import console
from shared.errors import UserError, command
from shared.settings import Settings, parse_today, read_settings


def arrive(month: str, settings: Settings) -> str:
    """Emit the event; returns the day (YYYY-MM-DD) as of which the training that it starts will train."""
    try:
        today = parse_today((pd.Period(month, freq="M") + 1).start_time.date().isoformat()).isoformat()
    except ValueError as error:
        raise UserError(
            f"MONTH={month!r} is no month of 2013; write it as YYYY-MM, for example MONTH=2013-04 ({error})"
        ) from error
    server = running_server(settings)
    if server is None or not server.healthy():
        raise UserError("nothing listens: start the pipeline in another terminal first, with make schedule")
    os.environ["PREFECT_API_URL"] = server.api
    from prefect.events import emit_event

    emit_event(
        MONTH_ARRIVED,
        resource={"prefect.resource.id": "flights"},
        payload={"month": month, "today": today, "cause": f"data of {month} arrived"},
    )
    return today


def main() -> None:
    """Read the month from the command line."""
    settings = read_settings()
    set_up_libraries(settings)
    if len(sys.argv) != 2:
        raise UserError("which month? make data-arrives MONTH=2013-04")
    today = arrive(sys.argv[1], settings)
    console.print(
        f"Told: the data of {sys.argv[1]} are complete. The pipeline trains as of {today}; make ui shows the run."
    )


if __name__ == "__main__":
    command(main)
