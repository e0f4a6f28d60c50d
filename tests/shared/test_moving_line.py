"""What a person sees in a terminal of two sizes: no line is lost, cut or broken in a word, whatever moves below it."""

import io
import re
import sys
import threading

import pytest
from rich.console import Console

from shared.moving_line import MovingLine
from tests.terminal import Screen, in_terminal

SENTENCE = "2013-05-29 promote 1 → 2, by platform: non-inferior, which is enough: " + "the reason has many words " * 5
SHOW = f"""
import threading, time
from shared.console import *
from shared.console import console, in_one_line, working
from shared.errors import UserError, command

class RefusedError(UserError):
    refusal = True

def train(name):
    with step(f"Gather for {{name}}"):
        time.sleep(0.3)
    print(f"  from a library: {{name}}")
    console.print(f"  {SENTENCE}")
    with bar(f"Tune {{name}} " + "with a long name " * 8, 4) as advance:
        for _ in range(4):
            time.sleep(0.1)
            advance()

def main():
    part(1, "Data", "all that a level prints")
    with step("Load the year"):
        time.sleep(0.3)
    with in_one_line("Version 2 as of 2013-04-01"):
        thread = threading.Thread(target=train, args=["version 2"])
        thread.start()
        thread.join()
    try:
        with in_one_line("Deploy version 3"), step("Put it through the gates"):
            raise RefusedError("{SENTENCE}. Remedy: none.")
    except RefusedError:
        pass
    with working("the first flights") as status:
        for day in range(20):
            status.update(f"day {{day}} " + "of the replay " * 12)
            console.print(f"  day {{day:02}}: promote")
            time.sleep(0.03)
            if day == 10:
                with step("Retrain"):
                    time.sleep(0.2)
    with bar("Count", 3) as advance:
        for _ in range(3):
            advance()
    show_table("Table", ["what", "rows", "reason"], [["a", "1,000", "{SENTENCE}"], ["b", "20", "short"]])
    show_manual_steps([("engineer", "deploys", "the release")])
    closing("Level 4", "log loss 0.465", {{"Gates": "4"}}, {{"Data": "none"}}, {{"make up": "live"}}, "make level5")
    raise UserError("{SENTENCE}. Remedy: none.")

command(main)
"""


@pytest.fixture(scope="module", params=[(80, 24), (120, 40)], ids=["80x24", "120x40"])
def screen(request: pytest.FixtureRequest) -> Screen:
    shown, status = in_terminal([sys.executable, "-c", SHOW], *request.param)
    assert status == 2, shown.text
    return shown


def test_no_line_is_wider_than_the_terminal_and_no_word_is_broken(screen: Screen) -> None:
    assert screen.broken == 0
    words = set(screen.text.split())
    assert set(SENTENCE.split()) <= words
    assert max(map(len, screen.text.splitlines())) <= screen.columns


def test_every_line_is_there_in_its_order_and_what_moved_is_gone(screen: Screen) -> None:
    lines = [line for line in screen.text.splitlines() if line]
    days = [line for line in lines if re.match(r"  day \d\d: promote$", line)]
    assert days == [f"  day {day:02}: promote" for day in range(20)]
    marked = [re.sub(r"[\d.]+ s$", "", line).strip() for line in lines if line[0] in "✓✗-"]
    assert marked == [
        "✓ Load the year",
        "✓ Version 2 as of 2013-04-01: 2 steps",
        "- Deploy version 3: 1 step",
        "✓ Retrain",
        "✓ Count",
    ]
    assert lines.index("  day 10: promote") < lines.index(next(line for line in lines if "Retrain" in line))
    assert "  from a library: version 2" in lines
    assert "1 Data · all that a level prints" in lines
    assert "of the replay" not in screen.text
    assert "Gather for" not in screen.text


def test_wrapped_lines_keep_their_indent(screen: Screen) -> None:
    lines = screen.text.splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("  2013-05-29"))
    assert lines[first + 1].startswith("  ")
    assert not lines[first + 1].startswith("   ")


def test_a_frame_is_drawn_while_another_thread_holds_the_line() -> None:
    """Rich's thread prints frames under a lock of its own: if it waited for ours, `stop` would wait for ever."""
    line = MovingLine(Console(file=io.StringIO()))
    frame = threading.Thread(target=line.break_line, daemon=True)
    with line.lock:
        frame.start()
        frame.join(5)
        assert not frame.is_alive()
