"""What people see: steps that move, tables, and the closing words of a level.

`python -m shared.console "Check the types" mypy` runs another command that says nothing while it works, as a step.
"""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from shared.errors import UserError, command

console = Console(highlight=False, soft_wrap=True)


@contextmanager
def step(name: str) -> Iterator[None]:
    """Show `name` while the block works, then how many seconds it took; a dot a second where there is no terminal."""
    begun = time.perf_counter()
    moving = console.status(name) if console.is_terminal else _dots(name)
    try:
        with moving:
            yield
    except BaseException:
        console.print(f"[red]✗[/red] {name}")
        raise
    console.print(f"[green]✓[/green] {name} [dim]{time.perf_counter() - begun:.1f} s[/dim]")


@contextmanager
def bar(name: str, total: int) -> Iterator[Callable[[], None]]:
    """Show a bar of `total` parts; the block calls what it is given after each part."""
    columns = SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    if not console.is_terminal:
        with step(name):
            yield lambda: None
        return
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(name, total=total)
        yield lambda: progress.advance(task)
    console.print(f"[green]✓[/green] {name} [dim]{total} of {total}[/dim]")


@contextmanager
def _dots(name: str) -> Iterator[None]:
    done = threading.Event()

    def tick() -> None:
        while not done.wait(1):
            sys.stdout.write(".")
            sys.stdout.flush()

    sys.stdout.write(f"… {name} ")
    sys.stdout.flush()
    ticker = threading.Thread(target=tick, daemon=True)
    ticker.start()
    try:
        yield
    finally:
        done.set()
        ticker.join()
        sys.stdout.write("\n")


def headline(text: str) -> None:
    """Print the heading of a part of the story."""
    console.print(f"\n[bold]{text}[/bold]")


def show_table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """Print a table: texts to the left, figures to the right."""
    table = Table(title=title, title_justify="left", title_style="bold")
    for i, column in enumerate(columns):
        figures = i > 0 and all(row[i][:1] in "+-−0123456789" for row in rows)
        table.add_column(column, justify="right" if figures else "left")
    for row in rows:
        table.add_row(*row)
    console.print(table)


def show_acts(acts: list[tuple[str, str, str]]) -> str:
    """Print who acts, does what, and what waits; returns how often, and how often one hands over to another."""
    show_table("Who acts, by hand", ["Who", "Does", "What waits"], [list(act) for act in acts])
    hand_overs = sum(before[0] != after[0] for before, after in pairwise(acts))
    return f"{len(acts)} steps by hand and {hand_overs} hand-overs for one model"


def closing(level: str, result: str, adds: dict[str, str], hurts: dict[str, str]) -> None:
    """End a level: its score, what it adds with the evidence of this run, and what still hurts with its evidence."""
    headline(f"{level}: {result}")
    for title, lines in (("What this level adds", adds), ("What still hurts", hurts)):
        table = Table(title=title, title_justify="left", title_style="bold", show_header=False)
        for what, evidence in lines.items():
            table.add_row(what, evidence)
        console.print(table)


def main() -> None:
    """Run a silent command as a step; then show what it said, and end as it ended."""
    name, *words = sys.argv[1:]
    said = b""
    try:
        with step(name):
            try:
                done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
            except OSError as error:
                raise UserError(f"{words[0]} cannot be run: {error}. Remedy: make env.") from error
            said = done.stdout
            if done.returncode:
                sys.exit(done.returncode)
    finally:
        sys.stdout.flush()
        sys.stdout.buffer.write(said)


if __name__ == "__main__":
    command(main)
