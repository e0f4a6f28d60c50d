"""Errors that the user can fix, how a command shows them, and how it ends."""

import io
import os
import re
import signal
import sys
import textwrap
from collections.abc import Callable
from types import FrameType

# C0 and C1 controls but newline and tab, marks that reverse the direction of writing, and halves of surrogate pairs.
HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
ENDS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")  # Ctrl-C, a polite kill, a closed terminal; Windows: both of these


class UserError(ValueError):
    """An error the user can fix: the message says what, where, the value and the remedy.

    refusal: the error is the result of a check that did its work, such as a gate; nothing has failed.
    """

    refusal = False

    @property
    def reason(self) -> str:
        """The message without the remedy."""
        return str(self).partition(" Remedy:")[0]


def printable(text: str) -> str:
    """Text from outside, with its control characters as escapes: one could rewrite a terminal's lines."""
    return HIDDEN.sub(lambda found: found[0].encode("unicode_escape", "surrogatepass").decode(), text)


def on_end(do: Callable[[], object]) -> None:
    """Call `do` when this process is asked to end, by Ctrl-C, SIGTERM or a terminal that is closed.

    A signal that is ignored already stays ignored, as SIGHUP under nohup.
    """
    terminals = [number for number in (1, 2) if os.isatty(number)]

    def end(number: int, _frame: FrameType | None) -> None:
        if number == getattr(signal, "SIGHUP", None):  # what is printed from now on has nowhere to go
            for terminal in terminals:
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, terminal)
                os.close(nowhere)
        do()

    for name in ENDS:
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, end)


def interrupt() -> None:
    """End as Ctrl-C does. What follows another one is not cut short: a closed terminal may send two signals."""
    for name in ENDS[1:]:
        if number := getattr(signal, name, None):
            signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def show_address(address: str) -> str:
    """The address of a database or a webhook as people may see it: without user, password and query.

    Of a webhook only scheme and host are left, because its path often is the secret.
    """
    scheme, found, rest = address.partition("://")
    if not found:
        return "an address without a scheme" if "=" in address else address.rpartition("@")[2]
    web = scheme.lower().startswith("http")
    place = rest if rest.startswith("/") else rest.rpartition("@")[2]  # a file's path may hold @, a password too
    place = place.partition("?")[0]
    return f"{scheme}://{re.split('[/#]', place)[0] if web else place}"


def command(main: Callable[[], None]) -> None:
    """Run a command's `main`. A UserError becomes one line on stderr and status 2: no traceback.

    Ctrl-C, SIGTERM and a closed terminal end it with status 130, after all that it has started.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8")  # the default encoding of a pipe on Windows cannot write ✓
    on_end(interrupt)
    try:
        _check_words()
        main()
    except UserError as error:
        print(_wrapped(f"error: {printable(str(error))}"), file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)


def _wrapped(text: str) -> str:
    """The text with lines that fit the terminal, if it goes to one."""
    if not sys.stderr.isatty():
        return text
    width = os.get_terminal_size(sys.stderr.fileno()).columns or 80
    wrapper = textwrap.TextWrapper(width, break_long_words=False, break_on_hyphens=False)
    return "\n".join(map(wrapper.fill, text.splitlines()))


def _check_words() -> None:
    """Refuse bytes on the command line that are no text: they can be neither stored nor sent."""
    for word in sys.argv:
        if word != word.encode(errors="replace").decode():
            raise UserError(f"{word!r} on the command line is not UTF-8. Remedy: give it as UTF-8.")
