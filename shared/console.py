"""What people see in the terminal: steps with their seconds, tables, and the screen that ends a level.

`python -m shared.console "Check the types" mypy` runs a command that prints nothing while it works, as a step.
"""

import html
import io
import os
import re
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console, NewLine
from rich.control import Control
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from shared.environment import begin
from shared.errors import UserError, command, printable
from shared.moving_line import MovingLine, Working

if TYPE_CHECKING:
    import pandas as pd

    from shared.score import Score
    from shared.settings import Settings

STORY, STORY_WIDTH = "story.html", 110  # characters


class PlainConsole(Console):
    """A console that prints texts as they are: [brackets] are no markup, and control characters are shown escaped.

    In a terminal, lines are wrapped between words. On a pipe they are not wrapped, so that they can be searched.
    story: another console that gets all that is printed, if any.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, markup=False, emoji=False, **options)
        self.moving = MovingLine(self)
        self.story: PlainConsole | None = None
        self.story_file: Path | None = None

    def render_str(self, text: str, **options: Any) -> Text:
        """Every text that is printed, alone or in a table, comes here."""
        return super().render_str(printable(text), **options)

    def print(self, *objects: Any, **options: Any) -> None:
        """Print above the line that moves, and into the story."""
        self.moving.break_line()
        if self.is_interactive or self.record:
            objects = tuple(map(_hanging, objects))
        if self.story and not (objects and isinstance(objects[0], Control | NewLine)):  # that line's frames and end
            self.story.print(*objects, **options)
        super().print(*objects, **{"soft_wrap": not (self.is_interactive or self.record), **options})


def _hanging(shown: Any) -> Any:
    """An indented text so that, where it is wrapped, all of its lines are indented."""
    text = Text(printable(shown)) if isinstance(shown, str) else shown
    indent = len(text.plain) - len(text.plain.lstrip(" ")) if isinstance(text, Text) else 0
    return Padding.indent(text[indent:], indent) if indent and "\n" not in text.plain else shown


console = PlainConsole()
FIGURE = re.compile(r"[-+−]?\d[\d,.]*(e[-+]?\d+)?\s?[^\d\s]*|-?")  # with sign and unit; or no value


def print_styled(*parts: str | tuple[str, str]) -> None:
    """Print a line of texts, each plain or as (text, style of rich, such as bold)."""
    styled = [(part, "") if isinstance(part, str) else part for part in parts]
    console.print(Text.assemble(*((printable(text), style) for text, style in styled)))


@contextmanager
def step(name: str) -> Iterator[Working]:
    """Show `name` while the block works, then its seconds. Without a terminal, print a dot each second.

    Where a UserError says that something was refused, as a check should, it is not marked as a failure.
    """
    if outer := console.moving.folding():
        outer.steps += 1
        with console.moving.show(Working(f"{outer.name} · {name}")) as inner:
            yield inner
        if console.story:
            console.story.print(f"    {name} {inner.seconds}")
        return
    with _shown_as_step(Working(name)) as one:
        yield one


@contextmanager
def in_one_line(name: str) -> Iterator[Working]:
    """Print the block as one line with the number of its steps; while it works, a terminal shows the present one.

    Of something refused, print the reason too: the caller expects it.
    """
    try:
        with _shown_as_step(Working(name, folds=True)) as one:
            yield one
    except UserError as error:
        if error.refusal:
            console.print(f"  refused: {error.reason}")
        raise


@contextmanager
def _shown_as_step(one: Working) -> Iterator[Working]:
    """Show it while the block works; then print it with a mark, its steps and its seconds."""
    mark, style = "✗", "red"
    with console.moving.show(one):
        try:
            with console.moving.dots(one):
                yield one
            mark, style = "✓", "green"
        except UserError as error:
            if error.refusal:
                mark, style = "-", "yellow"
            raise
        finally:
            colon, steps = (":", f"{one.result}{one.steps} step{'s' * (one.steps != 1)} ") if one.folds else ("", "")
            took = f"{steps}{one.seconds}"
            ended = console.moving.finish(one, f"{mark} {took}")
            line = Text.assemble((f"{mark} ", style), f"{one.name}{colon}", (f" {took}", "dim"))
            if not ended:
                console.print(line)
            elif console.story:
                console.story.print(line)


@contextmanager
def bar(name: str, total: int) -> Iterator[Callable[[], None]]:
    """A step of `total` parts, drawn as a bar; the block calls the yielded function after each part."""
    done = 0
    with step(name) as one:
        text = one.shown

        def advance() -> None:
            nonlocal done
            done += 1
            filled = 20 * done // total
            one.update(f"{'━' * filled}{'╌' * (20 - filled)} {done} of {total} · {text}")  # a long text may be cut

        yield advance


@contextmanager
def working(text: str) -> Iterator[Working]:
    """Show a text that the block changes by `update`; without a terminal, the block itself must print something."""
    with console.moving.show(Working(text)) as one:
        yield one


def headline(text: str) -> None:
    """Print a heading."""
    print_styled((f"\n{text}", "bold"))


def _waits() -> bool:
    wish = os.environ.get("STEP") or "0"
    if wish not in {"0", "1"}:
        raise UserError(f"STEP={wish!r} is neither 0 nor 1. Remedy: STEP=1, to wait for Enter before each part.")
    return wish == "1"


def part(number: int, name: str, about: str) -> None:
    """Print the heading of a part of a level; with STEP=1, wait for Enter before it."""
    if _waits() and not console.quiet:
        console.moving.break_line()
        sys.stdout.write(f"\nEnter: {number} {name} ")
        sys.stdout.flush()
        answered = sys.stdin.readline() if sys.stdin else ""
        if not answered or not sys.stdin.isatty():  # a person's Enter has ended the line
            sys.stdout.write("\n")
    headline(f"{number} {name} · {about}")


def show_table(title: str, columns: list[str], rows: list[list[str]], *, detail: bool = False) -> None:
    """Print a table: columns of figures are aligned right, texts left; without headings, all cells are texts.

    detail: while a level's output is recorded, the table is in its story only, and one line names it.
    """
    header = any(columns)
    table = Table(box=box.SIMPLE_HEAD if header else None, show_edge=False, pad_edge=False, show_header=header)
    for i, column in enumerate(columns):
        figures = header and i > 0 and all(FIGURE.fullmatch(row[i]) for row in rows)
        table.add_column(column, justify="right" if figures else "left")
    for row in rows:
        table.add_row(*row)
    shown_in = console.story if detail and console.story else console
    shown_in.print(Text(printable(title), "bold"))
    shown_in.print(table)
    if shown_in is not console and console.story_file:
        console.print(f"  {title}: {len(rows)} rows, in {show_path(console.story_file)}")


MONTHLY = {  # column: title, format of a month, format of all; another seed changes the third digit
    "rows": ("flights", ",.0f", ",.0f"),
    "late": ("late", ".1%", ".1%"),
    "log_loss": ("log loss", ".2f", ".3f"),
    "base_rate": ("base rate's log loss", ".2f", ".3f"),
    "auc": ("AUC", ".2f", ".2f"),
}


def show_by_month(title: str, months: "pd.DataFrame", overall: "Score") -> None:
    """Print the scores of `shared.score.by_month` and, in a last row, of all months together.

    `months` may have one more column, base_rate: the log loss of predicting the base rate of history.
    """
    columns = {key: shown for key, shown in MONTHLY.items() if key in months}
    total = overall.as_dict()
    if "base_rate" in columns:
        total["base_rate"] = float((months["base_rate"] * months["rows"]).sum() / overall.rows)
    rows = [
        [str(name), *(format(month[key], form) for key, (_, form, _) in columns.items())]
        for name, month in months.iterrows()
    ]
    rows.append(["all", *(format(total[key], form) for key, (_, _, form) in columns.items())])
    show_table(title, ["month", *(heading for heading, _, _ in columns.values())], rows)


def show_manual_steps(steps: list[tuple[str, str, str]]) -> str:
    """Print (role, manual step, what it blocks) and return how many steps and hand-overs between people there are."""
    show_table("Manual steps", ["role", "manual step", "what it blocks"], [list(one) for one in steps])
    hand_overs = sum(before[0] != after[0] for before, after in pairwise(steps))
    return f"{len(steps)} manual steps and {hand_overs} hand-overs for one model"


def show_path(file: Path) -> str:
    """The file as people may type it: from this folder on, if it is inside."""
    here = Path.cwd()
    return str(file.relative_to(here)) if file.is_relative_to(here) else str(file)


def closing(  # noqa: PLR0913, PLR0917
    level: str,
    result: str,
    adds: dict[str, str],
    hurts: dict[str, str],
    look: dict[str, str],
    next: str,  # noqa: A002 - as the screen calls it
) -> None:
    """End a level with one screen: its score, what it adds, what still hurts, each with evidence from this run.

    look: commands to try and files to open now, with what they show. next: the next level's command. Each entry is
    to fit one line of 80 characters.
    """
    if console.story_file:
        look = {**look, show_path(console.story_file): "the whole run, as a page"}
    quiet, console.quiet = console.quiet, False
    try:
        headline(level)
        console.print(f"  {result}")
        for title, entries in (("adds", adds), ("still hurts", hurts), ("look at this now", look)):
            print_styled((title, "bold"))
            width = max((len(what) for what in entries if len(what) <= 40), default=0)  # a path may be any length
            for what, evidence in entries.items():
                console.print(f"  {what:<{width}}  {evidence}")
        print_styled(("next ", "bold"), next)
    finally:
        console.quiet = quiet


PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>TITLE</title>
<style>
{stylesheet}
body {{ color: {foreground}; background: {background}; margin: 2em; }}
pre {{ font-family: Menlo, "DejaVu Sans Mono", Consolas, monospace; }}
</style>
</head>
<body>
<pre>{code}</pre>
</body>
</html>
"""


@contextmanager
def record_output(title: str, settings: "Settings", level: str, *, quiet: bool) -> Iterator[None]:
    """Print the title of a level, and write all that the block prints to story.html in its state folder.

    quiet: in the terminal, show nothing but errors and the closing screen.
    """
    _waits()  # a wrong wish is reported at once
    story = PlainConsole(file=io.StringIO(), record=True, width=STORY_WIDTH)
    console.quiet, console.story = quiet, story
    console.story_file = settings.level(level) / STORY
    print_styled((title, "bold"), f" · today is {settings.today}")
    try:
        yield
    except UserError as error:
        story.print(f"error: {error}")
        raise
    except KeyboardInterrupt:
        story.print("interrupted")
        raise
    except BaseException:
        story.print(traceback.format_exc())
        raise
    finally:
        console.quiet, console.story, console.story_file = False, None, None
        page = PAGE.replace("TITLE", html.escape(title))
        (settings.level(level) / STORY).write_text(story.export_html(code_format=page), encoding="utf-8")


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
