"""Who may do what: one token for each name, of which the platform keeps the digest only."""

import hashlib
import secrets
from pathlib import Path

from shared.errors import UserError
from shared.files import read_json, write_json

TOKENS = "tokens"  # the folder, in the platform's
PERMISSIONS = {
    "pipeline": {"submit"},  # brings new versions
    "feed": {"labels"},  # brings labels
    "operator": {"submit", "labels", "operate"},  # a person
    "loop": {"operate"},  # level 5's policy
}


class AccessError(UserError):
    """An unknown token, or one whose name may not do this."""


def make_tokens(home: Path) -> None:
    """Make each name's token, once, in a file that only this user can read."""
    folder = home / TOKENS
    folder.mkdir(parents=True, exist_ok=True)
    digests = folder / "digests.json"
    if digests.exists():
        return
    made = {name: secrets.token_urlsafe(24) for name in PERMISSIONS}
    for name, token in made.items():
        file = folder / name
        file.touch(mode=0o600)
        file.write_text(token)
    write_json(digests, {_digest(token): name for name, token in made.items()})


def read_token(home: Path, name: str) -> str:
    """The token of a name; raises AccessError where there is none."""
    try:
        return (home / TOKENS / name).read_text()
    except FileNotFoundError:
        raise AccessError(f"there is no token for {name} in {home / TOKENS}. Remedy: start the platform.") from None


def read_digests(home: Path) -> dict[str, str]:
    """Each token's digest, and its name; raises StateError."""
    remedy = f"remove {home / TOKENS} and start the platform: it makes new tokens"
    return read_json(home / TOKENS / "digests.json", dict[str, str], remedy)


def name_of(known: dict[str, str], authorization: str, permission: str = "") -> str:
    """The name that the token in this header belongs to; raises AccessError unless the name has this permission.

    known: see `read_digests`.
    """
    name = known.get(_digest(authorization.removeprefix("Bearer ")))
    if name is None:
        raise AccessError("unknown token. Remedy: the header Authorization: Bearer, with one of the tokens.")
    if permission and permission not in PERMISSIONS.get(name, set()):
        allowed = sorted(other for other, permissions in PERMISSIONS.items() if permission in permissions)
        raise AccessError(f"{name} may not {permission}. Remedy: use the token of one of {allowed}.")
    return str(name)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
