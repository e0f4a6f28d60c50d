"""`python -m tests.level5.play UNTIL`: the loop from where it stands to a day, with a policy that is in a hurry."""

import sys

from level3_training_pipeline import prefect_server, run_flow, tracking
from level4_deployment.flow import delivery
from level4_deployment.process import running_platform
from level5_monitoring import home, policy
from level5_monitoring.flow import year
from level5_monitoring.reference import FILE, build_reference
from shared.flights import load_flights
from shared.split import history

IN_A_HURRY = {"LONGEST": 4, "COOL_DOWN": 3}  # days


def main() -> None:
    settings = home.enter()
    for name, days in IN_A_HURRY.items():
        setattr(policy, name, days)
    own, platform_home = home.own(settings), home.platform(settings)
    with prefect_server.prefect_server(settings) as server:
        tracking.open_tracking(settings)
        with running_platform(platform_home, "--approval") as platform:
            platform.wait_for_control()
            server.wait()
            if not (own / FILE).exists():
                run_flow.run_flow(server, delivery, str(settings.today), platform_home, 1)
                build_reference(history(load_flights(settings), settings.now)).save(own)
            platform.wait_until_ready()
            run_flow.run_flow(server, year, sys.argv[1])


if __name__ == "__main__":
    main()
