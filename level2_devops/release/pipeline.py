"""A release from end to end: build, checksums, tests, smoke test, switch; and the rollback."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from level2_devops.release.artefact import REQUIREMENTS, SOURCES, add_model, copy_source, seal, verify
from level2_devops.release.gates import Tests, smoke_test, tests_running
from level2_devops.release.service_status import read_service_status, wait_until_served
from level2_devops.release.store import ReleaseError, Store
from shared.console import step
from shared.errors import UserError
from shared.files import commit_of
from shared.settings import PROJECT, Settings


@dataclass(frozen=True)
class Release:
    """A release that is current now.

    gates: the result of each gate, by name. seconds: duration of the release or rollback. switched_in: seconds until
    the running service had switched, or None when none runs.
    """

    version: str
    app: Path
    gates: dict[str, str]
    seconds: float
    switched_in: float | None


@dataclass(frozen=True)
class Candidate:
    """A release in the making: its code is copied and its tests run; its model is still missing."""

    version: str
    actor: str
    note: str
    commit: str | None
    folder: Path
    tests: Tests
    settings: Settings
    begun: float

    def finish(self, model: Path) -> Release:
        """Add the model in the folder `model`, pass all gates, and switch to it; raises UserError when one fails."""
        store = Store(self.settings.level("level2"))
        gates = self._pass_gates(model, store)
        with step(f"Switch to {self.version}"):
            store.record("released", self.version, self.actor)
            switched_in = wait_until_served(store)
        return Release(self.version, store.app(self.version), gates, time.monotonic() - self.begun, switched_in)

    def _pass_gates(self, model: Path, store: Store) -> dict[str, str]:
        """Build the release, put it through all gates and publish it; returns the result of each gate."""
        app, name = self.folder / "app", self.version
        with step(f"Build {name}, while its tests run"):
            add_model(model, app)
            digest = seal(app, name, self.commit, self.actor, self.note)
        with step(f"Smoke-test {name}: start it from its own folder and compare its answers"):
            answers = smoke_test(app, name, self.settings, store.home / "logs" / f"smoke-{name}.log")
        with step(f"Wait for the tests of {name}"):
            passed = self.tests.result()
        files = verify(app, digest)  # after the smoke test, which ran it
        store.publish(self.folder, name, digest, self.actor)
        return {"tests": passed, "checksums": f"{files} files", "smoke test": f"{answers} answers, all the model's own"}


@contextmanager
def candidate(settings: Settings, *, actor: str, note: str = "", source: Path = PROJECT) -> Iterator[Candidate]:
    """Copy the code in `source` and start its tests; the block makes the model meanwhile, and calls `finish`.

    Raises ReleaseError when a gate fails: the version number is then used up, and the old release keeps serving.
    """
    begun, store = time.monotonic(), Store(settings.level("level2"))
    with store.alone(), store.workshop() as workshop:
        read_service_status(store)  # one that is garbled is reported before the work
        version = store.next_version()
        store.record("building", version, actor, note=note)
        copy_source(source, workshop / "release" / "app")
        try:
            with tests_running(source, workshop, settings, store.home / "logs" / f"tests-{version}.log") as tests:
                commit = commit_of(source, *SOURCES, REQUIREMENTS)
                yield Candidate(version, actor, note, commit, workshop / "release", tests, settings, begun)
        except BaseException as error:  # whatever ends it, Ctrl-C and a bug too: no version is "building" for ever
            store.record("refused", version, actor, why=str(error) or type(error).__name__)
            if not isinstance(error, UserError):
                raise
            now = store.current()
            serving = f"{now.version} keeps serving" if now else "none was released before"
            raise ReleaseError(f"release {version} is refused; {serving}. {error}") from error


def release(model: Path, settings: Settings, *, actor: str, source: Path = PROJECT) -> Release:
    """Release the code in `source` with the model in the folder `model`; raises ReleaseError when a gate fails."""
    with candidate(settings, actor=actor, source=source) as made:
        return made.finish(model)


def roll_back(settings: Settings, *, actor: str) -> Release:
    """Switch to the release that served before the current one; raises ReleaseError when there is none."""
    begun, store = time.monotonic(), Store(settings.level("level2"))
    with store.alone():
        read_service_status(store)
        now = store.current()
        if now is None or not now.before:
            raise ReleaseError("there is no earlier release to go back to. Remedy: make release.")
        to = now.before[-1]
        files = verify(store.app(to), store.manifest_digest(to))
        with step(f"Switch to {to}"):
            store.record("rolled back", to, actor, after=now.version)
            try:
                switched_in = wait_until_served(store)
            except BaseException:  # also when it is interrupted
                store.record("released", now.version, actor)  # again
                raise
    seconds = time.monotonic() - begun
    return Release(to, store.app(to), {"checksums": f"{files} files"}, seconds, switched_in)
