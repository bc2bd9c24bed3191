"""The pages keep their word where a program can tell: links lead somewhere, commands and options exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from bundler.builder.payload import payload_of
from bundler.builder.recipe_file import load_recipe
from bundler.cli.main import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("recipes/*/*.md")])
RECIPE_PAGES = sorted(ROOT.glob("recipes/*/README.md"))
BLOCK = re.compile(r"^```.*?^```$|^(?: {4}\S.*\n)+", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
# A command line that calls bundler or the loader; what stands elsewhere in code is a name, a path or a message.
CALL = re.compile(
    r"^\s*(?:\$ )?(?:sudo )?(?:[A-Z_]+=\S* )*(?:python3? )?(?:\.venv/bin/)?bundler(?:\.pyz)? (?P<name>[a-z][a-z-]*)(?P<rest>.*)"
)
FILE = re.compile(r"(?<![\w./-])(?:tests|scripts)/[\w./*-]*[\w*]")
OPTION = re.compile(r"(?<!\S)(--[a-z][a-z-]*)")


def code_of(text: str) -> Iterator[str]:
    """Fenced and indented blocks, line by line, and spans of code in the text between them."""
    for block in BLOCK.findall(text):
        yield from block.replace("\\\n", " ").splitlines()
    yield from SPAN.findall(BLOCK.sub("", text))


def calls_in(text: str) -> Iterator[re.Match[str]]:
    """Calls of bundler in the code of a page; comments, and what pipes and lists join to them, are left out."""
    for line in code_of(text):
        commands = re.split(r"\|\|?|&&|;", re.sub(r"(?:^|\s)#.*", "", line))
        yield from (call for command in commands if (call := CALL.match(command)))


def anchors_of(text: str) -> set[str]:
    """How GitHub names headings: lower case, punctuation gone, blanks as hyphens."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(page: Path) -> list[str]:
    broken = []
    for target in LINK.findall(BLOCK.sub("", page.read_text(encoding="utf-8"))):
        name, _, anchor = target.partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        path = (page.parent / name).resolve() if name else page
        there = path.exists() and ROOT in (path, *path.parents)
        if there and anchor and path.suffix == ".md":
            there = anchor in anchors_of(path.read_text(encoding="utf-8"))
        if not there:
            broken.append(target)
    return broken


def missing_files(text: str) -> list[str]:
    """Paths below the project's own directories that stand as code in a text and are not there."""
    named = {path for span in code_of(text) for path in FILE.findall(span)}
    return sorted(path for path in named if not list(ROOT.glob(path)))


def unset_variables(text: str) -> list[str]:
    """Variables in the blocks of a page that no line above has set."""
    known: set[str] = set()
    unset = []
    for line in (line for block in BLOCK.findall(text) for line in block.splitlines()):
        unset += [name for name in re.findall(r"\$\{?([A-Za-z_]\w*)", line) if name not in known]
        known |= set(re.findall(r"^\s*(\w+)=", line))
    return unset


def wrong_calls(text: str) -> list[str]:
    """Commands that do not exist, and options that their commands do not have."""
    wrong = []
    for call in calls_in(text):
        entry = COMMANDS.get(call["name"])
        if entry is None:
            wrong.append(call["name"])
            continue
        known = {option for parameter in entry.load().params for option in parameter.opts} | {"--help", "--debug"}
        wrong += [f"{call['name']} {option}" for option in OPTION.findall(call["rest"]) if option not in known]
    return wrong


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_lead_somewhere(page: Path) -> None:
    assert broken_links(page) == []


@pytest.mark.parametrize("page", RECIPE_PAGES, ids=lambda page: page.parent.name)
def test_variables_of_a_recipes_page_are_set_there(page: Path) -> None:
    assert unset_variables(page.read_text(encoding="utf-8")) == []


def test_a_variable_that_is_not_set_is_found() -> None:
    text = 'Type\n\n    place=$(pwd)\n    ls "$place" ${other}\n    other=1\n'
    assert unset_variables(text) == ["other"]


@pytest.mark.parametrize("page", RECIPE_PAGES, ids=lambda page: page.parent.name)
def test_a_recipes_page_travels_with_the_compose_file_that_names_it(page: Path) -> None:
    travels = {str(each.path) for each in payload_of(load_recipe(page.parent))}
    pictures = re.findall(r"!\[[^\]]*\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    assert {"compose.yaml", "README.md", *pictures} <= travels


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_of_the_project_that_are_named_are_there(page: Path) -> None:
    assert missing_files(page.read_text(encoding="utf-8")) == []


def test_a_missing_file_is_found() -> None:
    text = "`tests/unit/test_docs.py`, `tests/unit/gone.py::test_x`, `scripts/bench`, `tests/faults/test_*.py`\n"
    assert missing_files(text) == ["tests/unit/gone.py"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_and_options_exist(page: Path) -> None:
    assert wrong_calls(page.read_text(encoding="utf-8")) == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("[gone](gone.md) and [outside](../../etc), [there](https://example.org/x)\n")
    assert broken_links(page) == ["gone.md", "../../etc"]


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("`bundler carry KIT`", ["carry"]),
        ("```\npython3 bundler.pyz install . --soon\n```\n", ["install --soon"]),
        ("```\nbundler build x \\\n    --quickly\n```\n", ["build --quickly"]),
        ("    sudo python3 bundler.pyz verify . && bundler fly there  # bundler x\n", ["fly"]),
        ("`bundler build --rehearse off | tee log --append`, `see bundler x`, bundler sings", []),
    ],
)
def test_a_wrong_command_is_found(text: str, wrong: list[str]) -> None:
    assert wrong_calls(text) == wrong


def test_commands_of_the_readme_are_those_that_exist() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    called = {call["name"] for call in calls_in(text)}
    assert called == set(COMMANDS)


@pytest.mark.parametrize(("name", "page"), [("build", "builder.md"), ("install", "operator.md")])
def test_every_option_is_explained(name: str, page: str) -> None:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    options = [option for parameter in COMMANDS[name].load().params for option in parameter.opts if "--" in option]
    assert [option for option in options if option != "--debug" and f"`{option}" not in text] == []


def test_every_decision_stands_in_the_index() -> None:
    index = (ROOT / "docs" / "adr" / "README.md").read_text(encoding="utf-8")
    pages = {path.name for path in (ROOT / "docs" / "adr").glob("[0-9]*.md")}
    assert pages == set(LINK.findall(index))


def test_every_page_can_be_found_from_the_readme() -> None:
    targets = LINK.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    linked = {(ROOT / target).resolve() for target in targets if "://" not in target}
    assert set((ROOT / "docs").glob("*.md")) - linked == set()
