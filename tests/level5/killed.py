"""Points at which a process is killed, with everything that it has started; each once, and the next start passes it.

`python -m tests.level5.killed platform …` is the platform, which has points of its own.
"""

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

BEFORE, AFTER = "before", "after"
LIST = "KILLED"  # names the file with the points that were met; without it, no process is killed
PLAYED_BY = "PLAYED_BY"  # the variable that names the process of the play


@dataclass(frozen=True)
class Point:
    """Before or after the n-th call of a function or method whose arguments fulfil a condition."""

    name: str
    module: str
    function: str
    when: str
    condition: Callable[..., bool] = lambda *_, **__: True
    nth: int = 1


LEVEL4, LOOP = "level4_deployment", "level5_monitoring.loop"
PLAYER = [
    Point("flights are predicted, labels not sent", f"{LEVEL4}.replay_client", "ask", AFTER, nth=3),
    Point("trained, before the gates", f"{LEVEL4}.delivery.flow", "run_gates", BEFORE, lambda *a: a[1].number > 1),
    Point("carried out, not recorded", f"{LOOP}.loop_store", "close_decision", BEFORE, lambda *a: "experiment" in a[2]),
]
CONTROL = f"{LEVEL4}.control"
PLATFORM = [
    Point("labels are in, no verdict yet", f"{CONTROL}.api", "ingest", AFTER, nth=2),
    Point(
        "a promotion",
        f"{CONTROL}.registry_client",
        "ModelRegistry.set_alias",
        AFTER,
        lambda *a: a[1:] == ("champion", 2),
    ),
]


def arm(points: list[Point]) -> None:
    """Let this process be killed at the points that are not in the file yet."""
    if LIST in os.environ:
        for point in points:
            if point.name not in met(Path(os.environ[LIST])):
                _arm(point)


def met(file: Path) -> list[str]:
    """The points that were met, in order."""
    return file.read_text().splitlines() if file.exists() else []


def _arm(point: Point) -> None:
    *inside, name = point.function.split(".")
    owner: Any = import_module(point.module)
    for one in inside:
        owner = getattr(owner, one)
    real, calls = getattr(owner, name), []

    def hooked(*given: Any, **named: Any) -> Any:
        calls.extend([given] * point.condition(*given, **named))
        due = bool(calls) and calls[-1] is given and len(calls) == point.nth
        if due and point.when == BEFORE:
            _kill(point.name)
        result = real(*given, **named)
        if due:
            _kill(point.name)
        return result

    setattr(owner, name, hooked)


def _kill(name: str) -> None:
    with Path(os.environ[LIST]).open("a") as file:
        file.write(f"{name}\n")
    os.kill(int(os.environ[PLAYED_BY]), signal.SIGKILL)  # the platform has a session of its own
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    from level4_deployment import cli

    arm(PLATFORM)
    cli.main()
