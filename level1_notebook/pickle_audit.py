"""Ask the pickle where it comes from: what the file really holds, read without running it."""

import hashlib
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
    """What stands in a pickle: its texts, and the callables that loading it fetches, to call them."""

    texts: list[str]
    callables: list[str]


def read_contents(file: Path) -> Contents:
    """Walk through the pickle's instructions without executing one."""
    pushed: list[str] = []  # the texts in the order in which they come to lie on the stack
    memo: list[object] = []
    last: object = None
    callables = set()
    for instruction, argument, _ in pickletools.genops(file.read_bytes()):
        if instruction.name == "MEMOIZE":
            memo.append(last)
        last = memo[int(argument or 0)] if instruction.name in ("BINGET", "LONG_BINGET") else argument
        if isinstance(last, str):
            pushed.append(last)
        if instruction.name == "STACK_GLOBAL":  # takes the module and the name that were pushed last
            callables.add(".".join(pushed[-2:]))
    return Contents(sorted(set(pushed)), sorted(callables))


def sha256(file: Path) -> str:
    """The first twelve hexadecimal digits of the file's SHA-256."""
    return hashlib.sha256(file.read_bytes()).hexdigest()[:12]


def questions(file: Path, model: HistGradientBoostingClassifier) -> list[list[str]]:
    """What a receiver must know: rows of the question, what the file answers, and what stays open."""
    contents = read_contents(file)
    dates, digests = (_texts_like(pattern, contents) for pattern in (FILE_OR_DATE, COMMIT_OR_DIGEST))
    libraries = " and ".join(sorted({name.split(".")[0] for name in contents.callables}))
    rows = int(model._predictors[0][0].nodes[0]["count"])  # noqa: SLF001  what a first tree's root was given
    copied = datetime.fromtimestamp(file.stat().st_mtime).astimezone()
    settings = f"max_iter {model.max_iter}, random_state {model.random_state}"
    return [
        ["Which data?", f"{dates} files or dates; its first tree saw {rows:,} rows", "which rows, known when"],
        ["Which code?", f"{digests} commits or digests; classes of {libraries}", "how the columns are made"],
        [
            "Which columns?",
            f"{model.n_features_in_} names: {model.feature_names_in_[-3]}, …",
            "units, codes, gaps",
        ],
        ["Which parameters?", settings, "the split, its seed, and why these"],
        ["Which versions?", f"scikit-learn {model.__getstate__()['_sklearn_version']}", "Python, numpy, pandas"],
        ["How good?", f"{len(model.validation_score_)} scores", "every figure"],
        ["Who, when?", f"0 names; file of {copied:%Y-%m-%d %H:%M}, the copying", "who trained it, on what day"],
    ]


def _texts_like(pattern: re.Pattern[str], contents: Contents) -> int:
    return sum(bool(pattern.search(text)) for text in contents.texts)
