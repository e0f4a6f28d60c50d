"""The line that shows what works now: in a terminal it moves, on a pipe it gets a dot each second.

It is always one line high, whatever it shows. What is printed meanwhile appears above it, and nothing is erased.
"""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.text import Text

from shared.errors import printable

FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
DOT_EVERY = 1.0  # seconds


class Working:
    """Something that takes time.

    folds: the steps inside it are counted and not printed, since they are its own. result: what came of it, as text.
    """

    def __init__(self, name: str, *, folds: bool = False) -> None:
        self.name, self.folds, self.steps, self.result = printable(name), folds, 0, ""
        self.shown, self.begun, self.dotted = self.name, time.perf_counter(), False

    def update(self, text: str) -> None:
        """Show another text from now on."""
        self.shown = printable(text)

    @property
    def seconds(self) -> str:
        """How long it has taken, with its unit."""
        return f"{time.perf_counter() - self.begun:.1f} s"

    def __rich__(self) -> Text:
        """One line, cut where the terminal ends."""
        frame = FRAMES[int(time.perf_counter() * 10) % len(FRAMES)]
        line = Text.assemble((frame, "green"), f" {self.shown} ", (self.seconds.partition(".")[0] + " s", "dim"))
        line.no_wrap, line.overflow = True, "ellipsis"
        return line


class MovingLine:
    """The last line of a console. Of several that work, it shows the newest."""

    def __init__(self, console: Console) -> None:
        self.console, self.lock = console, threading.RLock()
        self.working: list[Working] = []
        self.live: Live | None = None
        self.unfinished: Working | None = None  # on a pipe: whose line has no end yet

    def folding(self) -> Working | None:
        """What folds the steps that begin now, if anything does."""
        return next((one for one in self.working if one.folds), None)

    @contextmanager
    def show(self, one: Working) -> Iterator[Working]:
        """Show it while the block works, in a terminal."""
        with self.lock:
            self.working.append(one)
            if self.live is None and self.console.is_interactive:
                shown_on = Console() if self.console.quiet else self.console  # a quiet level shows that it lives
                self.live = Live(
                    get_renderable=lambda: self.working[-1], console=shown_on, transient=True, refresh_per_second=10
                )
                self.live.start()
        try:
            yield one
        finally:
            with self.lock:
                if self.live and self.working == [one]:
                    self.live.stop()
                    self.live = None
                self.working.remove(one)

    @contextmanager
    def dots(self, one: Working) -> Iterator[None]:
        """On a pipe, begin a line with its name, and add a dot each second while the block works."""
        if self.console.is_interactive or self.console.quiet:
            yield
            return
        ended = threading.Event()

        def tick() -> None:
            while not ended.wait(DOT_EVERY):
                with self.lock:
                    if self.unfinished is None:  # what was printed meanwhile has ended its line
                        self._begin(one)
                    if self.unfinished is one:
                        self._write("." if one.dotted else " .")
                        one.dotted = True

        with self.lock:
            self.break_line()
            self._begin(one)
        ticker = threading.Thread(target=tick, daemon=True)
        ticker.start()
        try:
            yield
        finally:
            ended.set()
            ticker.join()

    def finish(self, one: Working, words: str) -> bool:
        """On a pipe, end its line with these words; False where it has none, so that they are still to be printed."""
        with self.lock:
            if self.unfinished is not one:
                return False
            self._write(f" {words}\n")
            self.unfinished = None
            return True

    def break_line(self) -> None:
        """Before something else is printed: end an unfinished line."""
        if self.unfinished is None:  # always in a terminal, where rich's thread prints while another holds the lock
            return
        with self.lock:
            if self.unfinished:
                self._write("\n")
            self.unfinished = None

    def _begin(self, one: Working) -> None:
        self._write(one.name)
        self.unfinished, one.dotted = one, False

    @staticmethod
    def _write(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()
