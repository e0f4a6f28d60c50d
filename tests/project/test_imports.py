"""An import has no effects, every package explains itself, and what is imported is declared."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from shared.settings import PROJECT
from tests.project.sources import PACKAGES, imports, modules

# Imports each module in turn, those of earlier levels first, and fails with the first that printed or made something.
PROBE = """
import contextlib, importlib, io, os, pathlib, sys
THEIRS = ("KMP_", "_MLFLOW_", "PYARROW_", "SPARK_")  # what scikit-learn, MLflow and Pandera set
folder = pathlib.Path.cwd()  # with the state folder in it; what libraries keep in a home is theirs
for name in sys.argv[1:]:
    said, before = io.StringIO(), dict(os.environ)
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        importlib.import_module(name)
    made = [str(file) for file in folder.rglob("*")]
    made += [key for key, value in os.environ.items() if before.get(key) != value and not key.startswith(THEIRS)]
    if said.getvalue() or made:
        sys.exit(f"{name} printed {said.getvalue()!r} and made {made}")
    tools = sorted({"fastapi", "mlflow", "optuna", "prefect", "skops", "uvicorn"} & sys.modules.keys())
    if name.startswith("shared") and tools:
        sys.exit(f"{name} brings in {tools}: a tool comes in with the level that teaches it")
"""


def test_an_import_makes_no_file_and_prints_nothing(tmp_path: Path) -> None:
    names = [name for package in PACKAGES for name in modules(package)]
    assert names[0].startswith("shared")
    watched, home = tmp_path / "watched", tmp_path / "home"
    watched.mkdir()
    home.mkdir()
    quiet = {"DO_NOT_TRACK": "1", "MLFLOW_DISABLE_TELEMETRY": "true", "PREFECT_HOME": str(home)}
    done = subprocess.run(
        [sys.executable, "-B", "-c", PROBE, *names],
        cwd=watched,
        env={"PYTHONPATH": str(PROJECT), "HOME": str(home), "MLOPS_STATE": str(watched / "state"), **quiet},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_has_a_docstring_and_nothing_else(package: str) -> None:
    """So imports are plain: `from level4_deployment.experiment.design import Plan`, with nothing in between."""
    for file in (PROJECT / package).rglob("__init__.py"):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        name = file.relative_to(PROJECT).parent
        assert len(tree.body) == 1, f"{name}: more than a docstring"
        assert len(ast.get_docstring(tree) or "") > len("Room. Read this."), f"{name}: no docstring of use"


def test_no_module_imports_a_private_name_of_another() -> None:
    for package in PACKAGES:
        for file in (PROJECT / package).rglob("*.py"):
            for module, names in imports(file):
                if module.split(".")[0] in PACKAGES:
                    assert not [name for name in names if name.startswith("_")], f"{file}: {module} {names}"


def test_nothing_is_imported_from_a_conftest_or_a_test_file() -> None:
    for file in (PROJECT / "tests").rglob("*.py"):
        for module, _ in imports(file):
            name = module.split(".")[-1]
            assert not (module.startswith("tests.") and (name == "conftest" or name.startswith("test_"))), file


def declared() -> dict[str, set[str]]:
    """The distributions that each group of pyproject.toml declares."""
    groups = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"]
    return {
        group: {normal(re.split(r"[^\w.-]", line)[0]) for line in lines if isinstance(line, str)}
        for group, lines in groups.items()
    }


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("package", [*PACKAGES, "tests"])
def test_what_is_imported_is_declared_by_its_level_or_an_earlier_one(package: str) -> None:
    groups = declared()
    earlier = [*PACKAGES[: PACKAGES.index(package) + 1]] if package in PACKAGES else [*PACKAGES, "dev"]
    allowed = groups["pictures"].union(*(groups[name.split("_")[0]] for name in earlier))
    brings = packages_distributions()
    for file in (PROJECT / package).rglob("*.py"):
        for module, _ in imports(file):
            top = module.split(".")[0]
            if top in sys.stdlib_module_names or top in [*PACKAGES, "tests", "bootstrap"]:
                continue
            distributions = {normal(name) for name in brings.get(top, [])}
            assert distributions & allowed, (
                f"{file.name} imports {top}: declare one of {distributions} in pyproject.toml"
            )
