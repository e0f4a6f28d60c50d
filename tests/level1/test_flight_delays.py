"""The notebook as it is shown on a code-hosting page."""

import ast
import json
import re
from typing import Any

import nbformat

from level1_notebook.jupyter_environment import NOTEBOOK
from level1_notebook.notebook_runner import code_cells, read_notebook


def test_it_is_valid_and_shows_the_outputs_of_one_clean_run_from_top_to_bottom() -> None:
    notebook = read_notebook()
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, code_cells() + 1))
    kinds = [output.output_type for cell in code for output in cell.outputs]
    assert "error" not in kinds
    pictures = [o for cell in code for o in cell.outputs if "image/png" in o.get("data", {})]
    tables = [o for cell in code for o in cell.outputs if "text/html" in o.get("data", {})]
    assert len(pictures) >= 5
    assert len(tables) >= 3


def test_it_is_small_and_names_no_folder_of_the_machine_it_ran_on() -> None:
    text = NOTEBOOK.read_text(encoding="utf-8")
    assert len(text) < 400_000
    readable = json.dumps(_without_pictures(json.loads(text)))
    assert not re.search(r"(?<![\w.])/(home|root|tmp|work|Users|opt|private)/|[A-Z]:\\\\", readable)


def test_of_the_project_it_imports_only_the_loading_of_the_data() -> None:
    code = "\n".join(cell.source for cell in read_notebook().cells if cell.cell_type == "code")
    tree = ast.parse(re.sub(r"^%.*$", "", code, flags=re.MULTILINE))
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
    ours = {name for name in modules if name.split(".")[0].startswith(("shared", "level"))}
    assert ours == {"shared.data.flights", "shared.settings", "shared.data.split"}


def _without_pictures(notebook: dict[str, Any]) -> dict[str, Any]:
    """The same notebook without its PNGs, whose base64 may spell anything."""
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            output.get("data", {}).pop("image/png", None)
    return notebook
