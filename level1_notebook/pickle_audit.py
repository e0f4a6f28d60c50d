"""What a pickle says about its origin, read without running it."""

import pickletools
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sklearn.ensemble import HistGradientBoostingClassifier

COMMIT_OR_DIGEST = re.compile(r"\b[0-9a-f]{7,64}\b")
FILE_OR_DATE = re.compile(r"[\w-]+\.(parquet|csv|zip|ipynb|py)\b|\d{4}-\d\d-\d\d")


@dataclass(frozen=True)
class Contents:
    """The texts in a pickle, and the callables that loading it imports in order to call them."""

    texts: list[str]
    callables: list[str]

    def like(self, pattern: re.Pattern[str]) -> int:
        """How many texts match the pattern."""
        return sum(bool(pattern.search(text)) for text in self.texts)


def read_contents(file: Path) -> Contents:
    """Read the instructions of the pickle without executing them."""
    pushed: list[str] = []  # texts, in the order in which they are put on the stack
    memo: list[object] = []
    last: object = None
    callables = set()
    for instruction, argument, _ in pickletools.genops(file.read_bytes()):
        if instruction.name == "MEMOIZE":
            memo.append(last)
        last = memo[int(argument or 0)] if instruction.name in ("BINGET", "LONG_BINGET") else argument
        if isinstance(last, str):
            pushed.append(last)
        if instruction.name == "STACK_GLOBAL":  # takes the module and the name, which were pushed last
            callables.add(".".join(pushed[-2:]))
    return Contents(sorted(set(pushed)), sorted(callables))


def questions(file: Path, model: HistGradientBoostingClassifier) -> list[list[str]]:
    """The receiver's questions: rows of question, what the file answers, and what it leaves open."""
    contents = read_contents(file)
    libraries = " and ".join(sorted({name.split(".")[0] for name in contents.callables}))
    rows = int(model._predictors[0][0].nodes[0]["count"])  # noqa: SLF001 - the root of its first tree counts them
    copied = datetime.fromtimestamp(file.stat().st_mtime).astimezone()
    data = f"{contents.like(FILE_OR_DATE)} files or dates; its first tree saw {rows:,} rows"
    code = f"{contents.like(COMMIT_OR_DIGEST)} commits or digests; classes of {libraries}"
    return [
        ["Which data?", data, "which rows, known when"],
        ["Which code?", code, "how the columns are made"],
        ["Which columns?", f"{model.n_features_in_} names: {model.feature_names_in_[-3]}, …", "units, codes, gaps"],
        [
            "Which parameters?",
            f"max_iter {model.max_iter}, random_state {model.random_state}",
            "the split, its seed, and the reasons",
        ],
        ["Which versions?", f"scikit-learn {model.__getstate__()['_sklearn_version']}", "Python, numpy, pandas"],
        ["How good?", f"{len(model.validation_score_)} scores", "every figure"],
        ["Who, when?", f"0 names; a file date, {copied:%Y-%m-%d %H:%M}, of the copy", "who trained it, on what day"],
    ]
