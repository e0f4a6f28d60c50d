"""Errors that a user can mend, and how a command tells them."""

import io
import sys
from collections.abc import Callable


class UserError(ValueError):
    """Something the user can mend: the message says what, where, the value and the remedy."""


def command(main: Callable[[], None]) -> None:
    """Run a command's `main`; a UserError becomes its message on stderr, status 2, Ctrl-C status 130: no traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8")  # a pipe on Windows has an encoding that knows no ✓
    try:
        main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
