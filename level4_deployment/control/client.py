"""The client of the control plane, for programs and people."""

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

import httpx
from filelock import FileLock

from level4_deployment.control.auth import read_token
from level4_deployment.experiment.design import Plan
from shared.errors import UserError
from shared.files import StateError, read_json
from shared.processes.at_work import is_held
from shared.processes.process_identity import still_runs

ADDRESSES = "addresses.json"  # in the platform's folder, while it runs
APPROVE = "/experiment/approve"  # not sent again: the first attempt may have succeeded
RETRIES, LONGEST_PAUSE = 2, 5.0  # how often a request that the platform wants again is sent again; seconds
LOCK = "platform.lock"  # held by the platform that runs in the folder; the system releases it at a sudden end


class RefusedError(UserError):
    """The platform refused the request."""

    refusal = True


class OtherCodeError(UserError):
    """The platform was started from other code than this client."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what}: the platform was started from an older or newer version of this code. "
            "Remedy: end it, and start it again; it serves what it served before."
        )


class Answer(dict[str, Any]):
    """An object in an answer of the platform; reading a name that is not there raises OtherCodeError."""

    def __missing__(self, name: str) -> Any:
        """Raise the error."""
        raise OtherCodeError(f"the platform's answer has no {name!r}")


class PlatformClient:
    """Calls the platform in one name, with that name's token. Each object in its answers is an Answer."""

    def __init__(self, address: str, token: str, timeout: float = 60.0) -> None:
        headers = {"authorization": f"Bearer {token}"}
        self.http = httpx.Client(base_url=address, timeout=timeout, headers=headers)

    def __enter__(self) -> Self:
        """Keep the connections while the block runs."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self.http.close()

    @classmethod
    def at(cls, home: Path, name: str, timeout: float = 60.0) -> "PlatformClient":
        """The client of the platform that runs in a folder; raises UserError where there is none."""
        return cls(read_addresses(home)["control"], read_token(home, name), timeout)

    def get(self, path: str) -> Any:
        """Read something; raises UserError when the platform does not answer."""
        return self._request("GET", path)

    def post(self, path: str, **body: Any) -> Any:
        """Do something; raises RefusedError with the platform's reason, UserError when it fails or does not answer."""
        return self._request("POST", path, json=body)

    def submit(self, number: int, plan: Plan | None, champion: int | None = None) -> str | None:
        """Try a version, against the champion that it was compared with; returns the experiment's name."""
        body = {"version": number, "plan": asdict(plan) if plan else None, "champion": champion}
        made: str | None = self.post("/versions", **body)["experiment"]
        return made

    def _request(self, method: str, path: str, **words: Any) -> Any:
        answer = self._send(method, path, **words)
        for _ in range(0 if path == APPROVE else RETRIES):
            if not (pause := _retry_after(answer)):
                break
            time.sleep(pause)
            answer = self._send(method, path, **words)
        content = _content(answer)
        if answer.is_success and content is not None:
            return content
        what = f"{answer.request.url.path}: {answer.status_code}"
        if answer.status_code in (404, 405):  # it knows no such path, or no such method of it
            raise OtherCodeError(what)
        if isinstance(content, dict) and "detail" in content:
            kind = RefusedError if answer.is_client_error else UserError  # a failure is no refusal
            raise kind(f"{what}: {_as_sentence(content['detail'])}")
        raise UserError(
            f"{what}: the platform at {self.http.base_url} failed, or is none: {answer.text[:200]!r}. "
            "Remedy: see platform.log, and try again."
        )

    def _send(self, method: str, path: str, **words: Any) -> httpx.Response:
        try:
            return self.http.request(method, path, **words)
        except httpx.HTTPError as error:
            what = f"the platform at {self.http.base_url} does not answer {method} {path}: {error!r}"
            raise UserError(f"{what}. Remedy: see platform.log, or start it: make platform.") from error


def _retry_after(answer: httpx.Response) -> float:
    """Seconds after which the platform wants to be asked again, LONGEST_PAUSE at most; 0 if it does not."""
    wanted = answer.headers.get("retry-after", "")
    return min(float(wanted), LONGEST_PAUSE) if answer.is_error and wanted.isdigit() else 0.0


def _content(answer: httpx.Response) -> Any:
    """The answer's JSON; None if it is none, as from a server that broke down."""
    try:
        return answer.json(object_hook=Answer)
    except ValueError:
        return None


def _as_sentence(detail: Any) -> str:
    """A refusal as a sentence; for fields that are wrong: which, their values, and why."""
    if isinstance(detail, str):
        return detail
    return "; ".join(f"{one['field']} = {one['value']}: {one['problem']}" for one in detail)


def is_running(home: Path) -> bool:
    """Whether a platform runs in the folder, and has written its addresses."""
    return _running(home) is not None


def read_addresses(home: Path) -> dict[str, str]:
    """Where the running platform listens: `control` and `service`; raises UserError where there is none."""
    found = _running(home)
    if found is None:
        start = "make monitor" if home.parent.name == "level5" else "make platform"
        raise UserError(f"no platform runs in {home}. Remedy: {start}, in another terminal.")
    return {name: found[name] for name in ("control", "service")}


def _running(home: Path) -> dict[str, str] | None:
    """What the running platform has written; None where none runs: a killed one leaves it behind. Raises StateError."""
    try:
        found = read_json(home / ADDRESSES, _addresses, "try again: the running platform has written it anew")
    except FileNotFoundError:
        return None
    except StateError:
        if is_held(FileLock(home / LOCK)):
            raise
        return None
    return found if still_runs(found["process"]) else None


def _addresses(*, control: str, service: str, process: str) -> dict[str, str]:
    return {"control": control.strip(), "service": service.strip(), "process": process.strip()}  # all three are texts
