"""Errors that a user can mend, and how a command tells them."""

import sys
from collections.abc import Callable


class UserError(ValueError):
    """Something the user can mend: the message says what, where, the value and the remedy."""


def command(main: Callable[[], None]) -> None:
    """Run a command's `main`; a UserError becomes its message on stderr and exit status 2, without a traceback."""
    try:
        main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
