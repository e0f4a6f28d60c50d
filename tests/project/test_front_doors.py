"""A level is entered through its front door, and the door shows what is behind it."""

import ast
import importlib

import pytest

from shared.settings import PROJECT
from tests.project.sources import LEVELS, PACKAGES, imports


@pytest.mark.parametrize("package", PACKAGES)
def test_a_level_imports_other_levels_through_their_front_door_only(package: str) -> None:
    for file in (PROJECT / package).rglob("*.py"):
        for module, names in imports(file):
            door = module.split(".")[0]
            if door not in LEVELS or door == package:
                continue
            shown = set(getattr(importlib.import_module(door), "__all__", []))
            if module.removeprefix(f"{door}.") in shown:
                continue  # a whole room that the door shows
            assert module == door, f"{file.name} imports {module}: take it from {door}"
            hidden = set(names) - shown
            assert not hidden, f"{file.name} takes {hidden} from {door}, whose __all__ does not have it"


@pytest.mark.parametrize("package", PACKAGES)
def test_all_is_what_the_front_door_imports(package: str) -> None:
    door = importlib.import_module(package)
    public = getattr(door, "__all__", [])
    assert all(hasattr(door, name) for name in public)
    assert len(set(public)) == len(public)
    tree = ast.parse((PROJECT / package / "__init__.py").read_text(encoding="utf-8"))
    ours = [node for node in tree.body if isinstance(node, ast.ImportFrom) and str(node.module).startswith(package)]
    brought_in = {alias.asname or alias.name for node in ours for alias in node.names}
    defined = {
        node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name[0] != "_"
    }
    lazy = set(public) - brought_in - defined
    assert brought_in | defined <= set(public), "what comes in through the door is in __all__"
    assert not lazy or hasattr(door, "__getattr__"), f"{lazy} is in __all__, and nothing imports it"
