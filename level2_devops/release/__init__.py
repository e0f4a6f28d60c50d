"""A release from end to end: build, checksums, tests, smoke test, switch; and the way back."""

import time
from dataclasses import dataclass, replace
from pathlib import Path

from level2_devops.release.artefact import add_model, commit_of, copy_source, pack, seal, verify
from level2_devops.release.gates import smoke_test, tests_running
from level2_devops.serving import wait_until_served
from level2_devops.store import Current, ReleaseError, Store
from shared.console import step
from shared.errors import UserError
from shared.settings import PROJECT, Settings

__all__ = ["Release", "release", "roll_back"]


@dataclass(frozen=True)
class Release:
    """A release that is current now.

    gates: what it passed, by the name of the gate. seconds: what all of it took. switched_in: seconds until the
    running service had switched, or None when none runs.
    """

    version: str
    app: Path
    gates: dict[str, str]
    seconds: float
    switched_in: float | None


@dataclass(frozen=True)
class Order:
    """What to release: the code in `source` with the model in the folder `model`; who wants it, and why."""

    model: Path
    source: Path
    version: str
    who: str
    note: str


def release(model: Path, settings: Settings, *, who: str, note: str = "", source: Path = PROJECT) -> Release:
    """Build a release of the code in `source` with the model in the folder `model`, test it, and switch to it.

    Raises ReleaseError when a gate fails: its number is used up, and what served before serves on.
    """
    begun, store = time.monotonic(), Store(settings.level("level2"))
    with store.alone(), store.workshop() as workshop:
        version, before = store.next_version(), store.current()
        store.record("building", version, who, note=note)
        try:
            gates = _pass_gates(Order(model, source, version, who, note), workshop, store, settings)
            switched_in = _switch(store, before, to=_after(before, version))
        except UserError as error:
            store.record("refused", version, who, why=str(error))
            serves = f"{before.version} serves on" if before else "none was released before"
            raise ReleaseError(f"release {version} is refused; {serves}. {error}") from error
        store.record("released", version, who)
    return Release(version, store.app(version), gates, time.monotonic() - begun, switched_in)


def roll_back(settings: Settings, *, who: str, note: str = "") -> Release:
    """Switch to the release that served before the current one; raises ReleaseError where there is none."""
    begun, store = time.monotonic(), Store(settings.level("level2"))
    with store.alone():
        now = store.current()
        if now is None or not now.before:
            raise ReleaseError("there is no earlier release to go back to. Remedy: make release.")
        to = Current(now.before[-1], now.before[:-1], now.change + 1)
        with step(f"Check {to.version}"):
            files = verify(store.app(to.version), store.manifest_digest(to.version))
        switched_in = _switch(store, now, to)
        store.record("rolled back", to.version, who, after=now.version, note=note)
    seconds = time.monotonic() - begun
    return Release(to.version, store.app(to.version), {"checksums": f"{files} files"}, seconds, switched_in)


def _pass_gates(order: Order, workshop: Path, store: Store, settings: Settings) -> dict[str, str]:
    """Build in the workshop, test what was built, and publish it; returns what each gate found."""
    version, made = order.version, workshop / "release"
    app, logs = made / "app", store.home / "logs"
    copy_source(order.source, app)
    with tests_running(order.source, app, workshop / "tested", settings, logs / f"tests-{version}.log") as tests:
        with step(f"Build {version}, while its tests run"):
            add_model(order.model, app)
            digest = seal(app, version, commit_of(order.source), order.who, order.note)
            pack(app, made / f"level2-{version}.tar.gz")
            files = verify(app, digest)
        with step(f"Smoke-test {version}: start it from its own folder and compare its answers, while its tests run"):
            answers = smoke_test(app, version, settings, logs / f"smoke-{version}.log")
        with step(f"Wait for the tests of {version}"):
            passed = tests.result()
    verify(app, digest)  # once more, now that it has run
    store.publish(made, version, digest, order.who)
    return {"tests": passed, "checksums": f"{files} files", "smoke test": f"{answers} answers are the model's own"}


def _after(before: Current | None, version: str) -> Current:
    if before is None:
        return Current(version, (), 1)
    return Current(version, (*before.before, before.version), before.change + 1)


def _switch(store: Store, now: Current | None, to: Current) -> float | None:
    """Point to a release and wait until the running service has followed; point back when it refuses to."""
    with step(f"Switch to {to.version}"):
        store.point_to(to)
        try:
            return wait_until_served(store, to)
        except ReleaseError:
            if now is not None:
                store.point_to(replace(now, change=to.change + 1))
            raise
