"""`python -m tests.level5.play UNTIL BUDGET`: replay the year from where the log ends to a day, with short limits.

BUDGET: how many retrainings are planned. Experiments last two days: the first champion is so poor that they suffice.
"""

import os
import sys

import numpy as np
import pandas as pd

from level3_training_pipeline.orchestration import prefect_server, run_flow
from level3_training_pipeline.tracking import mlflow_runs
from level4_deployment.control import platform_process
from level4_deployment.delivery.flow import deployment
from level4_deployment.demo.candidates import START, register_by_hand
from level5_monitoring import config
from level5_monitoring.live_year.replay_year import year
from level5_monitoring.loop import policy
from level5_monitoring.monitors.reference import FILE, build_reference
from shared.data.flights import load_flights
from shared.data.split import history
from tests.level5 import killed

COOL_DOWN, TRIED = 3, 2  # days
MARGIN = 1.0  # nats per flight: of two days, a bound lies far below their mean


def a_fifth_wrong(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(late=table["late"].where(np.arange(len(table)) % 5 > 0, 1 - table["late"]))


def main() -> None:
    settings = config.configure()
    policy.COOL_DOWN, policy.BUDGET = COOL_DOWN, int(sys.argv[2])
    policy.PLAN.update(max_days=TRIED, margin=MARGIN)
    killed.arm(killed.PLAYER)
    if killed.LIST in os.environ:
        os.environ[killed.PLAYED_BY] = str(os.getpid())
        platform_process.SERVE = ["tests.level5.killed", "platform"]
    own, platform_home = config.own(settings), config.platform(settings)
    with prefect_server.prefect_server(settings) as server:
        client = mlflow_runs.open_tracking(settings)
        with platform_process.running_platform(platform_home, "--approval") as platform:
            platform.wait_for_control()
            server.wait()
            if not (own / FILE).exists():
                poor = register_by_hand(client, settings, a_fifth_wrong, START, "in a hurry")
                run_flow.run_flow(server, deployment, poor.number, platform_home)
                build_reference(history(load_flights(settings), settings.now)).save(own)
            platform.wait_until_ready()
            run_flow.run_flow(server, year, sys.argv[1])


if __name__ == "__main__":
    main()
