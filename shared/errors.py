"""Errors that the user can fix, and how a command shows them."""

import io
import sys
from collections.abc import Callable

from shared.printable import printable


class UserError(ValueError):
    """An error the user can fix: the message says what, where, the value and the remedy."""


def show_address(address: str) -> str:
    """The address of a database or a webhook as people may see it: without user, password and query.

    Of a webhook only scheme and host are left, because its path often is the secret.
    """
    scheme, found, rest = address.partition("://")
    if not found:
        return address.rpartition("@")[2]
    place = rest if rest.startswith("/") else rest.rpartition("@")[2]  # a file's path may hold @, a password too
    place = place.partition("?")[0]
    return f"{scheme}://{place.partition('/')[0] if scheme.startswith('http') else place}"


def command(main: Callable[[], None]) -> None:
    """Run a command's `main`. A UserError becomes one line on stderr and status 2, Ctrl-C status 130: no traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8")  # the default encoding of a pipe on Windows cannot write ✓
    try:
        _check_words()
        main()
    except UserError as error:
        print(f"error: {printable(str(error))}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)


def _check_words() -> None:
    """Refuse bytes on the command line that are no text: they can be neither stored nor sent."""
    for word in sys.argv:
        if word != word.encode(errors="replace").decode():
            raise UserError(f"{word!r} on the command line is not UTF-8. Remedy: give it as UTF-8.")
