"""What people see in the terminal; on a pipe, without a moving line, no step is silent for two seconds either."""

import io
import os
import re
import subprocess
import sys
import time
from dataclasses import replace
from datetime import date
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from shared import moving_line
from shared.console import (
    PlainConsole,
    bar,
    closing,
    console,
    headline,
    in_one_line,
    print_styled,
    record_output,
    show_by_month,
    show_table,
    step,
)
from shared.errors import UserError, command
from shared.moving_line import Working
from shared.score import by_month, score
from shared.settings import PROJECT, read_settings
from tests.silence import listen


def run(code: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", code], cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0
    )


@pytest.mark.parametrize("begin", ["step('Wait')", "bar('Wait', 3)"])
def test_a_step_is_never_silent_for_two_seconds(begin: str) -> None:
    heard, words = [], b""
    with run(f"import time; from shared.console import bar, step\nwith {begin}: time.sleep(3.5)") as process:
        assert process.stdout is not None
        while part := process.stdout.read(1):
            heard.append(time.monotonic())
            words += part
    assert process.returncode == 0
    assert b"Wait" in words
    assert words.count(b".") >= 3
    assert max(later - before for before, later in pairwise(heard)) < 2


def untimed(printed: str) -> list[str]:
    """The lines without what their seconds were."""
    return re.sub(r"\d+\.\d s\b", "0.0 s", printed).splitlines()


def test_on_a_pipe_a_step_is_one_line_and_one_that_fails_is_marked(capsys: pytest.CaptureFixture[str]) -> None:
    with step("Count the flights"):
        pass
    with step("Count them again"):
        console.print("  none is lost")
    with pytest.raises(ZeroDivisionError), step("Divide"):
        _ = 1 / 0
    assert untimed(capsys.readouterr().out) == [
        "Count the flights ✓ 0.0 s",
        "Count them again",
        "  none is lost",
        "✓ Count them again 0.0 s",
        "Divide ✗ 0.0 s",
    ]


def test_no_dot_follows_the_end_of_a_step(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(moving_line, "DOT_EVERY", 0.0)
    for _ in range(200):
        with step("Wait"):
            pass
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 200
    assert all(re.fullmatch(r"Wait( \.+)? ✓ 0\.\d s", line) for line in lines)


class RefusedError(UserError):
    refusal = True


def test_steps_that_repeat_are_one_line_and_a_refusal_is_no_failure(capsys: pytest.CaptureFixture[str]) -> None:
    with in_one_line("Version 2") as line:
        for name in ("Train", "Submit"):
            with step(name):
                pass
        line.result = "champion, "
    with pytest.raises(RefusedError), in_one_line("Version 3"), step("Put it through the gates"):
        raise RefusedError("quality: log loss 0.6. Remedy: train another version.")
    assert untimed(capsys.readouterr().out) == [
        "Version 2 ✓ champion, 2 steps 0.0 s",
        "Version 3 - 1 step 0.0 s",
        "  refused: quality: log loss 0.6.",
    ]


def test_only_a_column_of_figures_is_aligned_right(capsys: pytest.CaptureFixture[str]) -> None:
    show_table("", ["", "change", "seconds"], [["promote", "1 → 2", "0.5 s"], ["roll back", "none", "1,200 s"]])
    first = next(line for line in capsys.readouterr().out.splitlines() if "promote" in line)
    assert first == "promote     1 → 2      0.5 s"


def test_text_from_outside_is_no_markup_and_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    evil = "[/b] [red]ok[/red] :smile: \x1b[31m\x07 \u202e \ud800"
    shown = "[/b] [red]ok[/red] :smile: \\x1b[31m\\x07 \\u202e \\ud800"
    with step(evil), bar(evil, 1) as advance:
        advance()
    headline(evil)
    console.print(evil)
    print_styled((evil, "bold"), evil)
    show_table(evil, [evil], [[evil]])
    with pytest.raises(SystemExit):
        command(lambda: refuse(evil))
    printed = "".join(capsys.readouterr())
    assert printed.count(shown) == 11
    assert "\x1b" not in printed


def refuse(why: str) -> None:
    raise UserError(why)


def rows_of(printed: str) -> list[list[str]]:
    return [line.split() for line in printed.splitlines() if line.startswith(("2013-", "all"))]


def test_the_table_by_month_ends_with_all_months_together(capsys: pytest.CaptureFixture[str]) -> None:
    late, chance = [0, 1, 0, 1], [0.1, 0.9, 0.4, 0.6]
    days = pd.to_datetime(["2013-04-01", "2013-04-02", "2013-05-01", "2013-05-02"], utc=True) + pd.Timedelta(hours=12)
    flights = pd.DataFrame({"late": late, "scheduled_departure": days})
    months, overall = by_month(flights, chance), score(late, chance)
    show_by_month("Months", months, overall)
    assert rows_of(capsys.readouterr().out) == [
        ["2013-04", "2", "50.0%", "0.11", "1.00"],
        ["2013-05", "2", "50.0%", "0.51", "1.00"],
        ["all", "4", "50.0%", "0.308", "1.00"],
    ]
    show_by_month("Months", months.assign(base_rate=[0.6, 0.8]), overall)
    shown = capsys.readouterr().out
    assert "base rate's log loss" in shown
    assert rows_of(shown)[-1] == ["all", "4", "50.0%", "0.308", "0.700", "1.00"]


def levels_end() -> None:
    adds = {"Gates": "4 gates; 2 of 2 bad candidates refused"}
    closing("Level 4", "log loss 0.465", adds, {"Data": "not monitored"}, {"make platform": "it runs"}, "make level5")


def test_the_closing_screen_has_five_parts_and_is_all_that_a_quiet_level_prints(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = replace(read_settings(), today=date(2013, 5, 1), state=tmp_path, workspace="")
    with record_output("Level 4 · <deployment>", settings, "level4", quiet=True):
        with in_one_line("Train"), step("Tune"):
            pass
        headline("A heading")
        show_table("Decisions", ["day", "decision"], [["2013-05-06", "retrain"]], detail=True)
        levels_end()
        console.print("after the end")
    assert capsys.readouterr().out.splitlines() == [
        "",
        "Level 4",
        "  log loss 0.465",
        "adds",
        "  Gates  4 gates; 2 of 2 bad candidates refused",
        "still hurts",
        "  Data  not monitored",
        "look at this now",
        "  make platform  it runs",
        f"  {tmp_path}/level4/story.html  the whole run, as a page",
        "next make level5",
    ]
    story = (tmp_path / "level4" / "story.html").read_text(encoding="utf-8")
    assert "<title>Level 4 · &lt;deployment&gt;</title>" in story
    assert not re.search(r"https?:|src=|@import", story)
    shown = "\n".join(untimed(re.sub("<[^>]*>", "", story)))
    for words in (
        "today is 2013-05-01",
        "Tune 0.0 s",
        "✓ Train: 1 step",
        "A heading",
        "retrain",
        "still hurts",
        "after the end",
    ):
        assert words in shown


def test_the_story_of_a_level_that_fails_ends_with_the_error(tmp_path: Path) -> None:
    settings = replace(read_settings(), state=tmp_path, workspace="")
    with pytest.raises(UserError), record_output("Level 1", settings, "level1", quiet=False), step("Read it"):
        raise UserError("it is <gone>. Remedy: none.")
    story = (tmp_path / "level1" / "story.html").read_text(encoding="utf-8")
    assert "✗" in story
    assert "error: it is &lt;gone&gt;. Remedy: none." in story
    assert story.rstrip().endswith("</html>")
    assert console.story is None


STEPS = """
from shared.console import console, part
from shared.errors import command
def main():
    for number, name in enumerate(("Data", "Train", "Evaluate"), 1):
        part(number, name, "about it")
        console.print(name)
command(main)
"""


def test_with_step_each_part_waits_for_a_line_and_goes_on_at_the_end_of_the_file() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STEPS],
        cwd=PROJECT,
        env={**os.environ, "STEP": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
    ) as process:
        assert process.stdin
        assert process.stdout
        assert process.stdout.read(14) == b"\nEnter: 1 Data"
        time.sleep(0.3)  # it must not go on by itself
        process.stdin.write(b"\n")
        seen = b""
        while b"Enter: 2 Train" not in seen:
            seen += process.stdout.read(1)
        assert b"1 Data \xc2\xb7 about it\nData" in seen
        process.stdin.close()
        rest = process.stdout.read().decode()
    assert "Enter: 3 Evaluate" in rest
    assert rest.endswith("3 Evaluate · about it\nEvaluate\n")
    refused = listen([sys.executable, "-c", STEPS], STEP="yes")
    assert (refused.status, "STEP='yes' is neither 0 nor 1" in refused.err) == (2, True)


def test_an_error_of_ours_is_not_hidden() -> None:
    def main() -> None:
        raise KeyError("carrier")

    with pytest.raises(KeyError):
        command(main)


@pytest.mark.parametrize(
    ("words", "status", "ends"),
    [
        ([sys.executable, "-c", "print('done')"], 0, r"Work.* ✓ .*\ndone\n"),
        ([sys.executable, "-c", "import sys; sys.exit('bad')"], 1, r"Work.* ✗ .*\nbad\n"),
        (["no-such-command"], 2, r"Work.* ✗ .*\nerror: no-such-command cannot be run.* Remedy: make env\.\n"),
    ],
)
def test_a_silent_command_is_a_step_and_its_output_follows(words: list[str], status: int, ends: str) -> None:
    said = listen([sys.executable, "-m", "shared.console", "Work", *words])
    assert said.status == status
    assert re.fullmatch(ends, said.out + said.err)


def test_a_pipe_whose_encoding_knows_no_tick_gets_one_all_the_same() -> None:
    code = (
        "from shared.console import step\nfrom shared.errors import command\ndef main():\n    with step('Work'): pass\n"
    )
    said = listen([sys.executable, "-c", f"{code}command(main)"], PYTHONIOENCODING="cp1252", PYTHONUTF8="0")
    assert (said.status, said.err) == (0, "")
    assert "Work ✓" in said.out


def test_a_quiet_level_shows_in_a_terminal_that_it_works(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr(moving_line, "Console", lambda: Console(file=terminal, force_terminal=True))
    quiet = PlainConsole(force_terminal=True, quiet=True)
    with quiet.moving.show(Working("Train the model")):
        quiet.print("not shown")
    assert "Train the model" in terminal.getvalue()
    assert "not shown" not in terminal.getvalue()
