"""Values on the command line: each kind is checked once, and a wrong one ends the command with what is allowed."""

import argparse
from typing import NoReturn

from shared.errors import UserError

LAST_VERSION = 2**31 - 1  # what every database holds
YEAR = 366 * 86_400  # seconds
WANTED = "the number of a version, such as VERSION=1 (make ui shows all of level 3, make ui LEVEL=4 those of level 4)"


class Parser(argparse.ArgumentParser):
    """A parser whose errors are a UserError with a remedy. example: a command that is right."""

    example = "--help shows what there is"

    def error(self, message: str) -> NoReturn:
        """Raise the error."""
        raise UserError(f"{message.removeprefix('argument ').removeprefix(': ')}. Remedy: {self.example}.")


def version(text: str) -> int:
    """The number of a registered version."""
    return _whole(text, 1, LAST_VERSION, WANTED)


def count(text: str) -> int:
    """A whole number of at least 1."""
    return _whole(text, 1, 1_000_000, "a whole number of at least 1, and of a million at most")


def seconds(text: str) -> float:
    """A time of at least 1 second, and of a year at most."""
    value = _real(text)
    if not 1 <= value <= YEAR:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time of at least 1 second, and of a year at most")
    return value


def share(text: str) -> float:
    """A share of the flights."""
    value = _real(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share between 0 and 1, such as SHARE=0.3")
    return value


def reason(text: str) -> str:
    """Why something is done, for the record."""
    if not 3 <= len(text) <= 500:
        raise argparse.ArgumentTypeError(f"a reason needs 3 to 500 characters, and this one has {len(text):,}")
    return text


def _whole(text: str, low: int, high: int, wanted: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20 and low <= int(text) <= high):
        raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}")
    return int(text)


def _real(text: str) -> float:
    """The number; NaN, which is within no limits, where there is none."""
    try:
        return float(text)
    except ValueError:
        return float("nan")
