"""What the documents name exists, and every command has a line of help."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from shared.settings import PROJECT
from tests.project.sources import LEVELS, is_module, tracked

DOCUMENTS = [file for file in tracked() if file.suffix == ".md"]
HEADINGS = [
    "What this level adds",
    "Run it",
    "Read in this order",
    "Borrowed from earlier levels",
    "What breaks without it",
    "What is still missing",
]
PARTS = ["1. Data", "2. Train", "3. Evaluate", "4. Release", "5. Operate", "6. Tell"]
MAKEFILE = (PROJECT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z][\w-]*):", MAKEFILE, re.MULTILINE))


def named(document: Path) -> str:
    return str(document.relative_to(PROJECT))


@pytest.fixture(params=DOCUMENTS, ids=named)
def document(request: pytest.FixtureRequest) -> Path:
    return Path(request.param)


def code_of(document: Path) -> list[str]:
    """What stands in a document as code: fenced blocks, line by line, and words in back quotes."""
    text = document.read_text(encoding="utf-8")
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    words = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
    return [*words, *(line for block in blocks for line in block.splitlines())]


def test_every_make_target_named_exists(document: Path) -> None:
    for code in code_of(document):
        for words in re.findall(r"\bmake((?: [a-z][a-z0-9-]*)+)", code):
            assert set(words.split()) <= TARGETS, f"{named(document)}: make{words}"


def test_every_module_named_exists(document: Path) -> None:
    for code in code_of(document):
        for module in re.findall(r"python[\w.]* -m ([\w.]+)", code):
            ours = module.split(".")[0] in [*LEVELS, "shared", "tests"]
            assert not ours or is_module(module), f"{named(document)}: python -m {module}"
        short = re.fullmatch(r"(\.[a-z_]+)(?: [\w.-]+)?", code)  # `.deploy 1` after the level's name
        if short and document.parent.name in LEVELS and short[1] not in {".venv", ".state"}:
            assert is_module(f"{document.parent.name}{short[1]}"), f"{named(document)}: {code}"


def test_every_file_named_exists(document: Path) -> None:
    """A word in back quotes with a slash, or with the end of a file's name, is a file; so is a relative link.

    A level's document names the files of its own folder by their bare names, and others by their path.
    """
    ends = r"\.(py|md|toml|txt|ipynb|yml|yaml|json|png|svg|css|html|skops|pkl|csv|zip|db|log)"
    words = [word for word in code_of(document) if re.fullmatch(rf"[\w./-]*(/|{ends})", word)]
    links = re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", document.read_text(encoding="utf-8"))
    made_by_a_run = re.compile(r"\.state/|\.venv|model\.(pkl|skops|json)$|flights\.csv\.zip$|(weather|airports)\.csv$")
    for word in [*words, *links]:
        if made_by_a_run.search(word) or word.startswith("/"):
            continue
        places = [document.parent / word, PROJECT / word]
        anywhere = "/" not in word and document.parent == PROJECT and any(file.name == word for file in tracked())
        assert anywhere or any(place.exists() for place in places), f"{named(document)}: {word}"


@pytest.mark.parametrize("level", LEVELS)
def test_every_level_explains_itself_under_the_same_six_headings(level: str) -> None:
    text = (PROJECT / level / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == HEADINGS


@pytest.mark.parametrize("level", LEVELS)
def test_every_run_tells_its_story_in_the_same_six_parts(level: str) -> None:
    """Then two of them side by side, `make diff-2-3`, read as a lesson."""
    text = (PROJECT / level / "run.py").read_text(encoding="utf-8")
    assert re.findall(r"^ +# (\d\. .+)$", text, re.MULTILINE) == PARTS


def test_every_target_has_a_line_of_help_and_is_phony() -> None:
    phony = re.search(r"^\.PHONY:((?:.*\\\n)*.*)$", MAKEFILE, re.MULTILINE)
    assert phony
    assert set(phony[1].replace("\\", "").split()) == TARGETS
    helped = set(re.findall(r"^([a-z][\w-]*):.*## \S", MAKEFILE, re.MULTILINE))
    assert helped == TARGETS


def test_every_module_that_the_makefile_runs_exists() -> None:
    for module in re.findall(r"-m ((?:level|shared|tests)[\w.]*)", MAKEFILE):
        assert is_module(module), module


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make here")
def test_make_help_lists_every_target() -> None:
    shown = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=PROJECT, check=True, capture_output=True, text=True
    ).stdout
    assert set(re.findall(r"^  make ([\w-]+)", shown, re.MULTILINE)) == TARGETS
    assert len(shown.splitlines()) == len(TARGETS)


def test_no_file_names_a_machine_or_a_package_index() -> None:
    """Paths of one machine and addresses of package indexes work for nobody else."""
    foreign = re.compile(
        rb"/(?:root|work|opt|home/\w+|Users/\w+)/[\w.]|https?://[\w.-]*(?:pypi|pythonhosted|artifactory)"
    )
    this = Path(__file__)
    for file in tracked():
        if file != this and file.suffix not in {".png", ".ico", ".woff2"}:
            found = foreign.search(file.read_bytes())
            assert not found, f"{named(file)}: {found and found[0]!r}"
