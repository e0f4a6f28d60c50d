"""What people see in the terminal: steps with their seconds, tables, and the summary that ends a level.

`python -m shared.console "Check the types" mypy` runs a command that prints nothing while it works, as a step.
"""

import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from shared.environment import begin
from shared.errors import UserError, command
from shared.printable import printable

if TYPE_CHECKING:
    import pandas as pd

    from shared.score import Score


class PlainConsole(Console):
    """A console that prints texts as they are: [brackets] are no markup, and control characters are shown escaped."""

    def render_str(self, text: str, **options: Any) -> Text:
        """Every text that is printed, alone or in a table, comes here."""
        return super().render_str(printable(text), **options)


console = PlainConsole(highlight=False, soft_wrap=True, markup=False, emoji=False)
FIGURE = re.compile(r"[-+−]?\d[\d,.]*(e[-+]?\d+)?\s?[^\d\s]*|-?")  # with sign and unit; or no value


def print_styled(*parts: str | tuple[str, str]) -> None:
    """Print a line of texts, each plain or as (text, style of rich, such as bold)."""
    styled = [(part, "") if isinstance(part, str) else part for part in parts]
    console.print(Text.assemble(*((printable(text), style) for text, style in styled)))


@contextmanager
def step(name: str) -> Iterator[None]:
    """Show `name` while the block works, then its seconds. Without a terminal, print a dot each second."""
    begun = time.perf_counter()
    moving = console.status(Text(printable(name))) if console.is_terminal else _dots(name)
    try:
        with moving:
            yield
    except BaseException:
        print_styled(("✗ ", "red"), name)
        raise
    print_styled(("✓ ", "green"), name, (f" {time.perf_counter() - begun:.1f} s", "dim"))


@contextmanager
def bar(name: str, total: int) -> Iterator[Callable[[], None]]:
    """Show a progress bar of `total` parts; the block calls the yielded function after each part."""
    title = TextColumn("{task.description}", markup=False)
    columns = SpinnerColumn(), title, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    if not console.is_terminal:
        with step(name):
            yield lambda: None
        return
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(printable(name), total=total)
        yield lambda: progress.advance(task)
    print_styled(("✓ ", "green"), name, (f" {total} of {total}", "dim"))


@contextmanager
def _dots(name: str) -> Iterator[None]:
    done = threading.Event()

    def tick() -> None:
        while not done.wait(1):
            sys.stdout.write(".")
            sys.stdout.flush()

    sys.stdout.write(f"… {printable(name)} ")
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
    """Print the heading of a part of the output."""
    print_styled((f"\n{text}", "bold"))


def show_table(title: str, columns: list[str], rows: list[list[str]], *, header: bool = True) -> None:
    """Print a table: columns of figures are aligned right, texts left; without a header, all cells are texts."""
    table = Table(title=title, title_justify="left", title_style="bold", show_header=header)
    for i, column in enumerate(columns):
        figures = header and i > 0 and all(FIGURE.fullmatch(row[i]) for row in rows)
        table.add_column(column, justify="right" if figures else "left")
    for row in rows:
        table.add_row(*row)
    console.print(table)


MONTHLY = {  # column of the table by month: its title and format; another seed changes the third digit of a month
    "rows": ("flights", ",.0f"),
    "late": ("late", ".1%"),
    "log_loss": ("log loss", ".2f"),
    "base_rate": ("base rate's log loss", ".2f"),
    "auc": ("AUC", ".2f"),
}


def show_by_month(title: str, months: "pd.DataFrame", overall: "Score") -> None:
    """Print the scores of `shared.score.by_month` and, in a last row, of all months together.

    `months` may have one more column, base_rate: the log loss of predicting the base rate of history.
    """
    columns = {key: shown for key, shown in MONTHLY.items() if key in months}
    total = overall.as_dict()
    if "base_rate" in columns:
        total["base_rate"] = float((months["base_rate"] * months["rows"]).sum() / overall.rows)
    figures = [*months[list(columns)].itertuples(), ("all", *(total[key] for key in columns))]
    forms = [form for _, form in columns.values()]
    rows = [[str(name), *(format(one, form) for one, form in zip(row, forms, strict=True))] for name, *row in figures]
    show_table(title, ["month", *(heading for heading, _ in columns.values())], rows)


def show_manual_steps(steps: list[tuple[str, str, str]]) -> str:
    """Print (role, manual step, what it blocks) and return how many steps and hand-overs between people there are."""
    show_table("Manual steps", ["role", "manual step", "what it blocks"], [list(one) for one in steps])
    hand_overs = sum(before[0] != after[0] for before, after in pairwise(steps))
    return f"{len(steps)} manual steps and {hand_overs} hand-overs for one model"


def closing(level: str, result: str, adds: dict[str, str], hurts: dict[str, str]) -> None:
    """End a level: its score, what it adds and what still hurts, each line with evidence from this run."""
    headline(f"{level}: {result}")
    for title, lines in (("What this level adds", adds), ("What still hurts", hurts)):
        show_table(title, ["", ""], [[what, evidence] for what, evidence in lines.items()], header=False)


def main() -> None:
    """Run a command as a step, then print its output and end with its status."""
    name, *words = sys.argv[1:]
    output = b""
    try:
        with step(name):
            try:
                done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
            except OSError as error:
                raise UserError(f"{words[0]} cannot be run: {error}. Remedy: make env.") from error
            output = done.stdout
            if done.returncode:
                sys.exit(done.returncode)
    finally:
        sys.stdout.flush()
        sys.stdout.buffer.write(output)


if __name__ == "__main__":
    begin()
    command(main)
