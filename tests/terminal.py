"""A terminal of a given size: run a command in it, and see what a person would have seen."""

import fcntl
import os
import pty
import re
import struct
import termios
from dataclasses import dataclass, field

from shared.settings import PROJECT

TOKEN = re.compile(r"\x1b\[([?\d;]*)([A-Za-z])|(.)", re.DOTALL)


@dataclass
class Screen:
    """All lines that were shown, also those that have scrolled away. broken: how often a line was too long for it."""

    columns: int
    lines: list[str] = field(default_factory=lambda: [""])
    row: int = 0
    column: int = 0
    broken: int = 0

    def feed(self, text: str) -> None:
        """Obey what rich uses: carriage return, new line, cursor up, erase line. Colours change nothing."""
        for number, control, character in TOKEN.findall(text):
            if control == "A":
                self.row -= int(number or 1)
            elif control == "K":
                self.lines[self.row] = ""
            elif character == "\r":
                self.column = 0
            elif character == "\n":
                self._down()
            elif character:
                self._put(character)

    def _down(self) -> None:
        self.row += 1
        self.lines += [""] * (self.row + 1 - len(self.lines))

    def _put(self, character: str) -> None:
        if self.column == self.columns:
            self.broken, self.column = self.broken + 1, 0
            self._down()
        line = self.lines[self.row].ljust(self.column)
        self.lines[self.row] = line[: self.column] + character + line[self.column + 1 :]
        self.column += 1

    @property
    def text(self) -> str:
        """What stands there at the end."""
        return "\n".join(line.rstrip() for line in self.lines).rstrip()


def in_terminal(command: list[str], columns: int, rows: int, typed: str = "") -> tuple[Screen, int]:
    """Run a command in a terminal of this size, where `typed` was typed before; returns the screen and the status."""
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(PROJECT)
        kept = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES", "NO_COLOR"}}
        os.execvpe(command[0], command, kept | {"TERM": "xterm-256color"})  # noqa: S606 - no shell is needed
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    os.write(terminal, typed.encode())
    shown = b""
    try:
        while part := os.read(terminal, 65536):
            shown += part
    except OSError:  # so Linux ends a terminal whose process has ended
        pass
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    os.close(terminal)
    screen = Screen(columns)
    screen.feed(shown.decode())
    return screen, status


def closing_screen(printed: str, state: str) -> list[str]:
    """The lines of the screen that ends a level, which must fit a terminal of 80x24 with its prompt.

    state: the state folder, whose length is the user's; a line that names it may be longer.
    """
    lines = printed.splitlines()
    last = max(number for number, line in enumerate(lines) if line.startswith("next "))
    first = max(number for number, line in enumerate(lines[:last]) if line.startswith("Level "))
    screen = lines[first : last + 1]
    assert len(screen) <= 22
    assert not [line for line in screen if len(line) > 80 and state not in line]
    titles = [line for line in screen[2:] if not line.startswith(" ")]
    assert titles[:3] == ["adds", "still hurts", "look at this now"]
    assert f"{state}/level" in screen[-2]
    assert screen[-2].split()[0].endswith("story.html")
    return screen
