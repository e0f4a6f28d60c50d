"""What people see in the terminal; on a pipe, without a spinner, no step is silent for two seconds either."""

import subprocess
import sys
import time
from itertools import pairwise

import pandas as pd
import pytest

from shared.console import bar, console, headline, print_styled, show_by_month, show_manual_steps, show_table, step
from shared.errors import UserError, command
from shared.score import by_month, score
from shared.settings import PROJECT
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


def test_a_step_prints_its_name_and_its_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    with step("Count the flights"):
        pass
    assert "Count the flights 0.0 s" in capsys.readouterr().out.splitlines()[-1]


def test_a_step_that_fails_is_marked_and_its_error_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ZeroDivisionError), step("Divide"):
        _ = 1 / 0
    assert "✗ Divide" in capsys.readouterr().out


def test_only_a_column_of_figures_is_aligned_right(capsys: pytest.CaptureFixture[str]) -> None:
    show_table("", ["", "change", "seconds"], [["promote", "1 → 2", "0.5 s"], ["roll back", "none", "1,200 s"]])
    first = next(line for line in capsys.readouterr().out.splitlines() if "promote" in line)
    assert "│ 1 → 2  │" in first
    assert "│   0.5 s │" in first


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
    assert printed.count(shown) == 12
    assert "\x1b" not in printed


def refuse(why: str) -> None:
    raise UserError(why)


def rows_of(printed: str) -> list[list[str]]:
    return [line.strip("│ ").split() for line in printed.splitlines() if line.startswith("│")]


def test_the_table_by_month_ends_with_all_months_together(capsys: pytest.CaptureFixture[str]) -> None:
    late, chance = [0, 1, 0, 1], [0.1, 0.9, 0.4, 0.6]
    days = pd.to_datetime(["2013-04-01", "2013-04-02", "2013-05-01", "2013-05-02"], utc=True) + pd.Timedelta(hours=12)
    flights = pd.DataFrame({"late": late, "scheduled_departure": days})
    months, overall = by_month(flights, chance), score(late, chance)
    show_by_month("Months", months, overall)
    plain = [[cell for cell in row if cell != "│"] for row in rows_of(capsys.readouterr().out)]
    assert plain == [
        ["2013-04", "2", "50.0%", "0.11", "1.00"],
        ["2013-05", "2", "50.0%", "0.51", "1.00"],
        ["all", "4", "50.0%", "0.31", "1.00"],
    ]
    show_by_month("Months", months.assign(base_rate=[0.6, 0.8]), overall)
    shown = capsys.readouterr().out
    assert "base rate's log loss" in shown
    assert [cell for cell in rows_of(shown)[-1] if cell != "│"] == ["all", "4", "50.0%", "0.31", "0.70", "1.00"]


def test_hand_overs_are_counted_between_different_people(capsys: pytest.CaptureFixture[str]) -> None:
    steps = [("scientist", "trains", "a"), ("scientist", "sends", "b"), ("engineer", "deploys", "c")]
    assert show_manual_steps(steps) == "3 manual steps and 1 hand-overs for one model"
    assert "what it blocks" in capsys.readouterr().out


def test_an_error_that_the_user_can_fix_is_printed_without_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> None:
        raise UserError("temp: 3 of 720 values outside [-40, 115] °F")

    with pytest.raises(SystemExit) as stopped:
        command(main)
    assert stopped.value.code == 2
    assert capsys.readouterr().err == "error: temp: 3 of 720 values outside [-40, 115] °F\n"


def test_an_error_of_ours_is_not_hidden() -> None:
    def main() -> None:
        raise KeyError("carrier")

    with pytest.raises(KeyError):
        command(main)


@pytest.mark.parametrize(
    ("code", "status", "mark"), [("print('done')", 0, "✓"), ("import sys; sys.exit('bad')", 1, "✗")]
)
def test_a_silent_command_is_a_step_and_its_output_follows(code: str, status: int, mark: str) -> None:
    said = listen([sys.executable, "-m", "shared.console", "Work", sys.executable, "-c", code])
    assert said.status == status
    assert f"{mark} Work" in said.out
    assert said.out.splitlines()[-1] in ("done", "bad")


def test_ctrl_c_ends_a_command_without_a_traceback() -> None:
    code = "from shared.errors import command\ndef main():\n    raise KeyboardInterrupt\ncommand(main)"
    said = listen([sys.executable, "-c", code])
    assert (said.status, said.err) == (130, "interrupted\n")


def test_a_silent_command_that_is_not_there_says_what_to_do() -> None:
    said = listen([sys.executable, "-m", "shared.console", "Work", "no-such-command"])
    assert (said.status, "Remedy" in said.err, "Traceback" in said.err) == (2, True, False)


def test_a_pipe_whose_encoding_knows_no_tick_gets_one_all_the_same() -> None:
    code = (
        "from shared.console import step\nfrom shared.errors import command\ndef main():\n    with step('Work'): pass\n"
    )
    said = listen([sys.executable, "-c", f"{code}command(main)"], PYTHONIOENCODING="cp1252", PYTHONUTF8="0")
    assert (said.status, said.err) == (0, "")
    assert "✓ Work" in said.out
