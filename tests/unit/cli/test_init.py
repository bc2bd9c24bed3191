"""``bundler init``: what it tells, and the codes that it ends with."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundler.builder.recipe_file import load_recipe
from bundler.cli.main import run

Capture = pytest.CaptureFixture[str]


def test_from_a_recipe_it_says_what_is_to_be_done(tmp_path: Path, capsys: Capture) -> None:
    target = tmp_path / "my own"
    assert run(["init", "--from", "quickstart", str(target), "--name", "mine"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("files, the recipe quickstart by the name of mine")
    assert [line.split("#")[0].strip() for line in lines[1:]] == [
        f"next: grep -rn CHANGE: '{target}'",
        f"bundler lint '{target}'",
        f"bundler build '{target}'",
    ]


def test_of_exchanged_models_it_says_what_that_leaves_to_do(tmp_path: Path, capsys: Capture) -> None:
    assert run(["init", "--from", "quickstart", "--model", "me/e5", str(tmp_path / "mine")]) == 0
    out = capsys.readouterr().out
    assert "\nminilm: me/e5 in place of sentence-transformers/all-MiniLM-L6-v2\n" in out
    assert "\nnot taken, since recorded of what was there before: golden/minilm.json\n" in out
    assert "\nstill speak of what was there before: README.md, " in out


@pytest.mark.parametrize("more", [[], ["--from", "quickstart"]], ids=["small", "from"])
def test_the_directory_gives_the_name_where_none_is_given(
    more: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path / "mine")
    assert run(["init", *more, "."]) == 0
    assert load_recipe(tmp_path / "mine").name == "mine"


def test_the_small_recipe_gets_a_name_too(tmp_path: Path) -> None:
    assert run(["init", str(tmp_path / "somewhere"), "--name", "mine"]) == 0
    assert load_recipe(tmp_path / "somewhere").name == "mine"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--from", "nix"], ["there is no recipe 'nix' to start from", "name one of these: "]),
        (["--model", "me/e5"], ["--model exchanges models of a recipe that --from names", "add --from RECIPE: "]),
        (["--from", "quickstart", "--model", "other=me/e5"], ["no model 'other' in quickstart", "minilm"]),
    ],
)
def test_what_does_not_exist_is_told_with_what_does(
    arguments: list[str], told: list[str], tmp_path: Path, capsys: Capture
) -> None:
    assert run(["init", *arguments, str(tmp_path / "new")]) == 2
    err = capsys.readouterr().err
    assert [each for each in told if each not in err] == []
    assert not (tmp_path / "new").exists()


def test_a_directory_with_something_in_it_ends_with_10(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "notes").write_text("")
    assert run(["init", "--from", "quickstart", "--name", "mine", str(tmp_path)]) == 10
    assert "the directory is not empty" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["notes"]


def test_help_names_the_recipes(capsys: Capture) -> None:
    assert run(["init", "--help"]) == 0
    assert "quickstart" in capsys.readouterr().out
