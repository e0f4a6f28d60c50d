"""How programs and people speak to the control plane."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

import httpx

from level4_deployment.access import read_token
from level4_deployment.plan import Plan
from shared.errors import UserError

ADDRESSES = "addresses.json"  # in the platform's folder, while it runs


class RefusedError(UserError):
    """The platform said no."""


class PlatformClient:
    """One name's way to the platform that runs in a folder."""

    def __init__(self, address: str, token: str) -> None:
        self.http = httpx.Client(
            base_url=address, timeout=60, trust_env=False, headers={"authorization": f"Bearer {token}"}
        )

    def __enter__(self) -> Self:
        """Connections are kept while the block runs."""
        return self

    def __exit__(self, *_: object) -> None:
        """They are closed."""
        self.http.close()

    @classmethod
    def at(cls, home: Path, name: str) -> "PlatformClient":
        """Find the running platform; raises UserError where there is none."""
        return cls(read_addresses(home)["control"], read_token(home, name))

    def get(self, path: str) -> Any:
        """Read something."""
        return self._said(self.http.get(path))

    def post(self, path: str, **body: Any) -> Any:
        """Do something; raises RefusedError with the platform's reason."""
        return self._said(self.http.post(path, json=body))

    def submit(self, number: int, plan: Plan | None) -> str | None:
        """Try a version against the champion; returns the experiment's name."""
        made = self.post("/versions", version=number, plan=asdict(plan) if plan else None)["experiment"]
        return None if made is None else str(made)

    @staticmethod
    def _said(answer: httpx.Response) -> Any:
        if answer.status_code >= 400:
            raise RefusedError(f"{answer.request.url.path}: {answer.status_code}: {answer.json()['detail']}")
        return answer.json()


def read_addresses(home: Path) -> dict[str, str]:
    """Where the running platform listens: `control` and `service`."""
    try:
        return dict(json.loads((home / ADDRESSES).read_text()))
    except FileNotFoundError:
        raise UserError("no platform runs here. Remedy: make platform, in another terminal.") from None
