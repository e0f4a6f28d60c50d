"""Who may do what: one token a name, of which the platform keeps the digest only."""

import hashlib
import json
import secrets
from pathlib import Path

from shared.errors import UserError

TOKENS = "tokens"
# The pipeline brings new versions; the feed brings outcomes; what else is done, a person does who is named by a token.
NAMES = {
    "pipeline": {"submit"},
    "feed": {"labels"},
    "operator": {"submit", "labels", "operate"},
    "loop": {"operate"},  # level 5's policy, which is no person
}


class AccessError(UserError):
    """Nobody is known by this token, or who is may not do this."""


def make_tokens(home: Path) -> None:
    """Make each name's token, once, in a file that only this user can read."""
    folder = home / TOKENS
    folder.mkdir(parents=True, exist_ok=True)
    digests = folder / "digests.json"
    if digests.exists():
        return
    made = {name: secrets.token_urlsafe(24) for name in NAMES}
    for name, token in made.items():
        file = folder / name
        file.touch(mode=0o600)
        file.write_text(token)
    digests.write_text(json.dumps({_digest(token): name for name, token in made.items()}))


def read_token(home: Path, name: str) -> str:
    """The token of a name; raises AccessError where there is none."""
    try:
        return (home / TOKENS / name).read_text()
    except FileNotFoundError:
        raise AccessError(f"there is no token for {name} in {home / TOKENS}. Remedy: start the platform.") from None


def who(home: Path, token: str, act: str) -> str:
    """The name that this token belongs to; raises AccessError unless it may `act`."""
    known = json.loads((home / TOKENS / "digests.json").read_text())
    name = known.get(_digest(token))
    if name is None:
        raise AccessError("nobody is known by this token. Remedy: Authorization: Bearer, and one of the tokens.")
    if act not in NAMES[name]:
        raise AccessError(f"{name} may not {act}. Remedy: ask one of {sorted(n for n in NAMES if act in NAMES[n])}.")
    return str(name)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
