"""What a person may do on a running platform: each act needs the operator's token, and goes on record."""

import argparse
import time

from level4_deployment.config import configure
from level4_deployment.control.client import PlatformClient
from level4_deployment.experiment.design import Plan
from shared.console import console, show_table, step
from shared.errors import UserError, command
from shared.settings import Settings, user


def main() -> None:
    """Read the act from the command line, and do it."""
    parser = argparse.ArgumentParser(prog="python -m level4_deployment.cli", description=main.__doc__)
    parser.add_argument("act", choices=["status", "audit", "submit", "promote", "rollback", "approve", "share", "stop"])
    parser.add_argument("what", nargs="?", help="submit, promote: the version's number; share: of flights, such as 0.2")
    parser.add_argument("--reason", default=f"by {user()}")
    options = parser.parse_args()
    if options.act in ("submit", "promote", "share") and not options.what:
        name = "SHARE=0.3" if options.act == "share" else "VERSION=2"
        raise UserError(f"{options.act} needs a number. Remedy: make {options.act} {name}, for example.")
    settings = configure()
    with PlatformClient.at(settings.level("level4"), "operator") as platform:
        do(options, settings, platform)


def do(options: argparse.Namespace, settings: Settings, platform: PlatformClient) -> None:
    """Do one act, and show how things stand after it."""
    begun = time.perf_counter()
    match options.act:
        case "submit":
            submit(settings, int(options.what))
        case "promote":
            platform.post(f"/versions/{options.what}/promote", reason=options.reason)
        case "rollback":
            platform.post("/rollback", reason=options.reason)
        case "approve":
            platform.post("/experiment/approve")
        case "share":
            platform.post("/experiment/share", share=float(options.what))
        case "stop":
            platform.post("/experiment/stop", reason=options.reason)
        case "audit":
            show_audit(platform)
            return
    if options.act != "status":
        console.print(f"done after {time.perf_counter() - begun:.1f} s")
    show_status(platform)


def submit(settings: Settings, number: int) -> None:
    """Run the deployment flow for a version that is registered; gates and plan are shown before it is handed over."""
    from level3_training_pipeline.orchestration import prefect_server

    with prefect_server.prefect_server(settings) as server:
        with step("Load the libraries"):
            from level3_training_pipeline.orchestration import run_flow
            from level4_deployment.delivery.flow import deployment
        with step("Wait for the Prefect server"):
            server.wait()
        run_flow.run_flow(server, deployment, number, settings.level("level4"), None, True)  # noqa: FBT003 - show


def show_status(platform: PlatformClient) -> None:
    """Print what serves, and how the experiments stand."""
    now = platform.get("/status")
    if now["routes"]:
        champion = now["routes"]["champion"]["version"]
        console.print(f"champion: version {champion} (generation {now['routes']['generation']})")
    if now["trouble"]:
        console.print(f"trouble: {now['trouble']}")
    rows = [
        [one["experiment"], f"{one['challenger']} against {one['champion']}", one["state"], one["reason"]]
        for one in now["experiments"]
    ]
    show_table("Experiments", ["", "Versions", "State", "Reason"], rows)
    for one in now["experiments"]:
        console.print(f"{one['experiment']}, as planned: {Plan(**one['plan'])}")


def show_audit(platform: PlatformClient) -> None:
    """Print who did what, and when."""
    rows = [
        [
            time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(act["at"])),
            act["actor"],
            act["action"],
            f"{act['old_value'] or ''} → {act['new_value'] or ''}",
            act["reason"],
        ]
        for act in platform.get("/audit")
    ]
    show_table("Audit trail (UTC)", ["When", "Who", "Act", "Change", "Reason"], rows)


if __name__ == "__main__":
    command(main)
