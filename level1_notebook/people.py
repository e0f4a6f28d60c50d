"""Who does what by hand at this level, and what has to wait for it."""

from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True)
class Act:
    """One step that a person takes."""

    who: str
    does: str
    waits: str


def acts_of_a_release(cells: int, plots: int, questions: int, columns: int, months: int) -> list[Act]:
    """What two people do, in turn, from a blank notebook to the news of how good its model is."""
    scientist, engineer = "data scientist", "engineer"
    return [
        Act(scientist, f"runs {cells} cells, chooses columns and settings by {plots} plots", "the engineer"),
        Act(scientist, "sends one pickle and a note", "the engineer"),
        Act(engineer, f"asks {questions} questions", "the release"),
        Act(scientist, "answers what is remembered", "the release"),
        Act(engineer, f"copies the code of {columns} columns by hand", "every prediction"),
        Act(engineer, f"fetches the outcomes, scores {months} months", "the news how good it is"),
        Act(scientist, "trains again when told of it", "every flight until then"),
    ]


def hand_overs(acts: list[Act]) -> int:
    """How often the work goes from one person to another."""
    return sum(before.who != after.who for before, after in pairwise(acts))
