"""The project's own files, as the tests of the project look at them."""

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path

from shared.settings import PROJECT

LEVELS = sorted(folder.parent.name for folder in PROJECT.glob("level*_*/__init__.py"))
PACKAGES = ["shared", *LEVELS]


def tracked() -> list[Path]:
    """The files that git keeps, or would keep: nothing that it ignores."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(command, cwd=PROJECT, check=True, capture_output=True, text=True, encoding="utf-8").stdout
    return [PROJECT / name for name in names.split("\0") if name and (PROJECT / name).is_file()]


def modules(package: str) -> list[str]:
    """The dotted names of a package's modules."""
    files = sorted((PROJECT / package).rglob("*.py"))
    parts = [file.relative_to(PROJECT).with_suffix("").parts for file in files]
    return [".".join(part[:-1] if part[-1] == "__init__" else part) for part in parts]


def is_module(name: str) -> bool:
    """Whether `python -m name` finds something of ours to run."""
    file = PROJECT / name.replace(".", "/")
    return file.with_suffix(".py").is_file() or (file / "__main__.py").is_file()


def imports(file: Path) -> Iterator[tuple[str, list[str]]]:
    """Every import of a file, wherever it stands: the module, and the names taken from it."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, []) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: a relative import"
            yield str(node.module), [alias.name for alias in node.names]


def import_closure(start: str) -> set[str]:
    """The files of ours that are imported by a file, directly or by others, wherever the import stands; with itself.

    A package's `__init__.py` is left out: it holds a docstring only (`test_imports.py`).
    """
    found, todo = set(), [start]
    while todo:
        if (name := todo.pop()) in found:
            continue
        found.add(name)
        for module, names in imports(PROJECT / name):
            wanted = [module, *(f"{module}.{one}" for one in names)]
            files = [f"{one.replace('.', '/')}.py" for one in wanted if one.split(".")[0] in PACKAGES]
            todo += [file for file in files if (PROJECT / file).is_file()]
    return found
