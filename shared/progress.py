"""The progression: a table of what each level's last run measured, printed and kept in README.md.

`python -m shared.progress` prints it, `--write` puts it into README.md, `--check` compares README.md with it.
"""

import re
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from shared.console import console
from shared.environment import begin
from shared.errors import UserError, command
from shared.files import read_json, write_json
from shared.score import Score, mean_score, plus_minus
from shared.settings import PROJECT, Settings, read_settings

README = PROJECT / "README.md"
BEGIN, END = "<!-- progression: make progress writes it -->\n", "<!-- end of progression -->"
LEVELS = {
    "level1": ("1 · notebook", "a model, a claim, a pickle handed over"),
    "level2": ("2 · DevOps", "tests, a service, gated releases and rollback, operational metrics"),
    "level3": (
        "3 · training pipeline",
        "a pipeline, tracking, a registry; versions rebuilt, each prediction the same bit for bit",
    ),
    "level4": ("4 · deployment", "a platform, gates, shadow, live split, a verdict; rollback by one command"),
    "level5": ("5 · monitoring", "monitors, a policy, and a loop that retrains, tests and promotes by itself"),
}
TOLERANCE = {
    "level1": 0.015,
    "level5": 0.001,
}  # the notebook sets no seed; on a busy machine a late challenger is replaced by the champion
SMALL = 0.0005  # what the arithmetic of another platform may change


@dataclass(frozen=True)
class Summary:
    """A level's result: its model's score on the flights after today, and how many manual steps a model took.

    runs: the scores of several trainings that differ by chance alone, where `score` is their mean; else empty.
    """

    today: str
    score: Score
    steps: int
    runs: list[Score] = field(default_factory=list)

    def figures(self) -> list[str]:
        """Log loss and AUC as they are shown: with their spread, if there are several runs."""
        if self.runs:
            return [plus_minus([getattr(run, name) for run in self.runs]) for name in ("log_loss", "auc")]
        return [f"{self.score.log_loss:.3f}", f"{self.score.auc:.2f}"]


def keep_summary(settings: Settings, level: str, score: Score | Sequence[Score], steps: int) -> None:
    """Save the result of `level` in its state folder; `score` may be the scores of several runs."""
    one, runs = (score, []) if isinstance(score, Score) else (mean_score(score), list(score))
    summary = Summary(str(settings.today), one, steps, runs)
    write_json(settings.level(level) / "summary.json", asdict(summary))


def read_summaries(settings: Settings) -> dict[str, Summary]:
    """The last summary of each level; raises UserError where one is missing, or was measured on other flights."""
    found = {}
    for level in LEVELS:
        file = settings.level(level) / "summary.json"
        if not file.exists():
            how = " (FAULTS=none keeps no result)" if level == "level5" else ""
            raise UserError(f"{level} has no result here: there is no {file}. Remedy: make {level}{how}.")
        found[level] = read_json(file, _summary, f"make {level}")
    measured = {level: f"TODAY={one.today}, {one.score.rows:,} flights" for level, one in found.items()}
    if len(set(measured.values())) > 1:
        each = "; ".join(f"{level}: {on}" for level, on in measured.items())
        raise UserError(f"the levels were measured on different flights ({each}). Remedy: run all with one TODAY.")
    return found


def _summary(today: str, score: dict[str, Any], steps: int, runs: Sequence[dict[str, Any]] = ()) -> Summary:
    sum([steps, *(value for one in (score, *runs) for value in one.values())])  # TypeError unless all are numbers
    return Summary(today, Score(**score), steps, [Score(**run) for run in runs])


def as_markdown(summaries: dict[str, Summary]) -> str:
    """The table, one row a level."""
    rows = ["| level | adds | log loss | AUC | manual steps to a new model |", "|---|---|---|---|---|"]
    for level, summary in summaries.items():
        title, adds = LEVELS[level]
        rows.append(f"| {title} | {adds} | {' | '.join(summary.figures())} | {summary.steps} |")
    last = next(reversed(summaries.values()))
    repeated = "".join(
        f"level {level[-1]}: mean ± SD of {len(one.runs)} runs; " for level, one in summaries.items() if one.runs
    )
    measured = (
        f"Log loss (nats per flight) and AUC of each level's model, trained on what was known on {last.today} and "
        f"measured on the {last.score.rows:,} labelled flights predicted from then to the end of the year; "
        f"{repeated}level 5: for the predictions it served while retraining automatically, in a year with three faults."
    )
    return "\n".join(rows) + f"\n\n{measured}\n"


def differences(text: str, summaries: dict[str, Summary]) -> list[str]:
    """One line for each row of README.md's table whose figures differ from the last runs."""
    rows = dict(re.findall(r"^\| (\d) · [^|]*\|[^|]*(\|.*)$", text, re.MULTILINE))
    wrong = []
    for level, summary in summaries.items():
        without_spread = re.sub(r"± \S+", "", rows.get(level[-1], ""))
        found = [float(figure) for figure in re.findall(r"[\d.]+", without_spread)]
        measured = [summary.score.log_loss, summary.score.auc, summary.steps]
        near = TOLERANCE.get(level, SMALL)
        rounded = (near + 0.0005, near + (0.0005 if summary.runs else 0.005), 0)  # AUC has two digits without a spread
        if len(found) != 3 or any(abs(a - b) > most for a, b, most in zip(found, measured, rounded, strict=True)):
            wrong.append(f"{level}: README.md has {found}, this run measured {[round(one, 4) for one in measured]}")
    return wrong


def main() -> None:
    """Print, write or check the table."""
    summaries = read_summaries(read_settings())
    text = README.read_text(encoding="utf-8")
    table = re.search(f"(?<={re.escape(BEGIN)}).*?(?={re.escape(END)})", text, re.DOTALL)
    if table is None:
        raise UserError(f"README.md has no table between {BEGIN.strip()!r} and {END!r}. Remedy: put both lines back.")
    if sys.argv[1:] == ["--check"]:
        if wrong := differences(table[0], summaries):
            raise UserError("\n".join([*wrong, "Remedy: make progress, and commit README.md."]))
        console.print("README.md's table agrees with what the levels measured.")
    elif sys.argv[1:] == ["--write"]:
        README.write_text(text[: table.start()] + as_markdown(summaries) + text[table.end() :], encoding="utf-8")
    console.print(as_markdown(summaries))


if __name__ == "__main__":
    begin()
    command(main)
