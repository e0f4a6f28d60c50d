"""What the documents name exists, and every command has a line of help."""

import re
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from shared.environment import FOREIGN
from shared.settings import PROJECT
from tests.project.sources import LEVELS, PACKAGES, is_module, tracked

DOCUMENTS = [file for file in tracked() if file.suffix == ".md"]
HEADINGS = [
    "The problem",
    "The picture",
    "Run it",
    "What to look at",
    "Files that hold the idea",
    "On second reading",
    "Borrowed from earlier levels",
    "Still missing",
    "Try it",
]
GLOSSARY = PROJECT / "docs" / "glossary.md"
README_FILES = [PROJECT / "README.md", *(PROJECT / level / "README.md" for level in LEVELS)]
COLUMNS = 80  # of a terminal
PARTS = [("1", "Data"), ("2", "Train"), ("3", "Evaluate"), ("4", "Release"), ("5", "Operate"), ("6", "Report")]
MAKEFILE = (PROJECT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z][\w-]*):", MAKEFILE, re.MULTILINE))


FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def named(document: Path) -> str:
    return str(document.relative_to(PROJECT))


@pytest.fixture(params=DOCUMENTS, ids=named)
def document(request: pytest.FixtureRequest) -> Path:
    return Path(request.param)


def code_of(document: Path) -> list[str]:
    """What stands in a document as code: fenced blocks, line by line, and words in back quotes."""
    text = document.read_text(encoding="utf-8")
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    words = re.findall(r"`([^`\n]+)`", re.sub(FENCED, "", text))
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
def test_every_level_explains_itself_under_the_same_headings(level: str) -> None:
    text = (PROJECT / level / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (.+)$", re.sub(FENCED, "", text), re.MULTILINE) == HEADINGS


def test_every_test_that_a_document_names_exists(document: Path) -> None:
    named_tests = {code for code in code_of(document) if re.fullmatch(r"test_\w+", code)}
    sources = "".join(file.read_text(encoding="utf-8") for file in tracked() if file.name.startswith("test_"))
    assert not [name for name in named_tests if f"def {name}(" not in sources]


@pytest.mark.parametrize("level", LEVELS)
def test_the_root_readme_says_how_long_a_level_is_and_the_files_to_begin_with(level: str) -> None:
    text = (PROJECT / level / "README.md").read_text(encoding="utf-8")
    numbered = re.findall(r"^\d\. (.+?):", text.partition("\n## Files that hold the idea\n")[2], re.MULTILINE)
    first = {PROJECT / level / file for words in numbered for file in re.findall(r"`([\w/]+\.py)`", words)}
    own = [file for file in tracked() if file.suffix == ".py" and file.is_relative_to(PROJECT / level)]
    lines = {file: len(file.read_text(encoding="utf-8").splitlines()) for file in own}
    row = re.search(
        rf"^\| {level[5]} \| ([\d,]+) \| ([\d,]+)", README_FILES[0].read_text(encoding="utf-8"), re.MULTILINE
    )
    assert row, "the table of lines, seconds and memory"
    said = [int(figure.replace(",", "")) for figure in row.groups()]
    assert said == pytest.approx([sum(lines.values()), sum(lines[file] for file in first)], rel=0.02)


@pytest.mark.parametrize("readme", README_FILES, ids=named)
def test_every_command_in_a_readme_fits_a_terminal(readme: Path) -> None:
    for block in re.findall(FENCED, readme.read_text(encoding="utf-8")):
        assert not [line for line in block.splitlines() if len(line) > COLUMNS]


def glossary() -> dict[str, tuple[str, list[str]]]:
    """Each entry of the glossary, written as `**term**: two sentences (`path/to/file.py`)`: its text and its files."""
    entry = re.compile(r"^(?:- )?\*\*(.+?)\*\*: (.+?)(?=^(?:- )?\*\*|^#|\Z)", re.MULTILINE | re.DOTALL)
    found = entry.findall(GLOSSARY.read_text(encoding="utf-8"))
    return {term: (" ".join(text.split()), re.findall(r"`([\w./-]+\.\w+)`", text)) for term, text in found}


def test_every_entry_of_the_glossary_has_two_sentences_and_a_file_that_exists() -> None:
    entries = glossary()
    assert len(entries) >= 55
    assert len(entries) == len({term.lower() for term in entries})
    for term, (text, files) in entries.items():
        assert files, f"{term}: no file shows it at work"
        assert text.count(". ") >= 1, f"{term}: {text}"
        for file in files:
            assert (PROJECT / file).is_file(), f"{term}: {file}"


def test_every_link_to_the_glossary_finds_its_word_under_its_letter(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    links = re.findall(r"\[([^]]+)\]\(([^)#\s]*glossary\.md)(?:#(\w))?\)", text)
    assert links or document not in README_FILES
    for words, link, letter in links:
        assert (document.parent / link).resolve() == GLOSSARY
        if letter:
            entries = [f"{term} {text}".lower() for term, (text, _) in glossary().items() if term[0].lower() == letter]
            assert any(words.lower()[:4] in entry for entry in entries), f"{named(document)}: {words} under {letter}"


@pytest.mark.parametrize("level", LEVELS)
def test_every_run_has_the_same_six_parts(level: str) -> None:
    """Then two of them side by side, `make diff-2-3`, read as a lesson."""
    text = (PROJECT / level / "run.py").read_text(encoding="utf-8")
    assert re.findall(r'^ +part\((\d), "(\w+)", ', text, re.MULTILINE) == PARTS


def test_every_target_is_phony() -> None:
    phony = re.search(r"^\.PHONY:((?:.*\\\n)*.*)$", MAKEFILE, re.MULTILINE)
    assert phony
    assert set(phony[1].replace("\\", "").split()) == TARGETS


def test_contributing_lists_every_setting_that_the_code_reads() -> None:
    """In any other place, a variable of the environment would be obeyed by accident."""
    machines = {"DISPLAY", "WAYLAND_DISPLAY", "PATH"}
    text = (PROJECT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^\| `([A-Z_]+)` \|", text, re.MULTILINE)) - {"NOTHING_SKIPPED"}  # of the tests
    read = set()
    for file in tracked():
        if file.suffix == ".py" and file.relative_to(PROJECT).parts[0] in PACKAGES:
            read |= set(re.findall(r'environ(?:\.get\(|\[)"([A-Z_]+)"', file.read_text(encoding="utf-8")))
    assert {name for name in read - machines if not FOREIGN.match(name)} == listed


def test_every_module_that_the_makefile_runs_exists() -> None:
    for module in re.findall(r"-m ((?:level|shared|tests)[\w.]*)", MAKEFILE):
        assert is_module(module), module


@pytest.mark.parametrize("level", LEVELS)
def test_every_verb_in_the_makefile_and_the_documents_is_on_the_levels_command_line(
    level: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = [MAKEFILE, *(line for document in DOCUMENTS for line in code_of(document))]
    verbs = {verb for text in code for verb in re.findall(rf"\b{level} ([a-z][a-z-]+)", text)}
    monkeypatch.setattr(sys, "argv", [level, "--help"])
    with pytest.raises(SystemExit):
        import_module(f"{level}.cli").main()
    assert verbs <= set(re.findall(r"^ +([a-z][a-z-]+)\b", capsys.readouterr().out, re.MULTILINE))


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make here")
def test_make_help_lists_every_target_in_its_group() -> None:
    shown = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=PROJECT, check=True, capture_output=True, text=True
    ).stdout
    assert set(re.findall(r"^  make ([\w-]+)", shown, re.MULTILINE)) == TARGETS
    groups = [line for line in shown.splitlines() if not line.startswith("  make ")]
    assert [group[:7] for group in groups if group.startswith("Level ")] == [
        f"Level {number}" for number in range(1, 6)
    ]
    assert len(shown.splitlines()) == len(TARGETS) + len(groups)
    assert max(map(len, shown.splitlines())) <= COLUMNS


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
