"""Who does what by hand at this level, and what has to wait for it."""


def acts_of_a_release(cells: int, plots: int, questions: int, columns: int, months: int) -> list[tuple[str, str, str]]:
    """What two people do, from a blank notebook to the news of how good its model is: who, what, what waits for it."""
    scientist, engineer = "data scientist", "engineer"
    return [
        (scientist, f"runs {cells} cells, chooses columns and settings by {plots} plots", "the engineer"),
        (scientist, "sends one pickle and a note", "the engineer"),
        (engineer, f"asks {questions} questions", "the release"),
        (scientist, "answers what is remembered", "the release"),
        (engineer, f"copies the code of {columns} columns by hand", "every prediction"),
        (engineer, f"fetches the outcomes, scores {months} months", "the news how good it is"),
        (scientist, "trains again when told of it", "every flight until then"),
    ]
