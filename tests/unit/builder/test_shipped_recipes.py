"""Which recipes there are to start from, and which of their files are theirs."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundler.builder import shipped_recipes
from bundler.builder.shipped_recipes import LEFT_BEHIND, files_of, shipped_recipe
from bundler.core.errors import UsageError

ROOT = Path(__file__).parents[3]


def test_they_are_those_of_the_source() -> None:
    here = sorted(path.parent.name for path in ROOT.glob("recipes/*/recipe.yaml"))
    assert list(shipped_recipes.shipped_recipes()) == here
    assert shipped_recipe("quickstart") == ROOT / "recipes" / "quickstart"


@pytest.mark.parametrize("name", ["nix", "", "..", "quickstart/service", "../recipes/quickstart"])
def test_another_one_is_refused_and_those_that_there_are_are_named(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        shipped_recipe(name)
    assert (repr(name) in caught.value.what, "quickstart" in caught.value.remedy) == (True, True)


def test_the_package_has_its_own_before_what_lies_around_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place, name in (("package", "ours"), ("around", "others")):
        (tmp_path / place / name).mkdir(parents=True)
        (tmp_path / place / name / "recipe.yaml").write_text("")
    (tmp_path / "package" / "no-recipe").mkdir()
    monkeypatch.setattr(shipped_recipes, "_PLACES", (tmp_path / "package", tmp_path / "around"))
    assert shipped_recipes.shipped_recipes() == ("ours",)


def test_where_none_is_left_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipped_recipes, "_PLACES", (tmp_path / "package", tmp_path / "around"))
    with pytest.raises(UsageError) as caught:
        shipped_recipe("quickstart")
    assert "install bundler again" in caught.value.remedy


def test_what_tools_leave_is_not_taken(tmp_path: Path) -> None:
    names = ["recipe.yaml", "recipe.lock", "s/a.py", "s/__pycache__/a.pyc", ".cache/x", ".mypy_cache/x", "dist/w.whl"]
    names += [".gitignore", "wheels/one.whl", "s/wheels/two.whl", "data/out/x", "data/in/x", "kept.log", "more/b.log"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / ".gitignore").write_text("# wheels that were brought\n/wheels/\n\ndata/out\n*.log\n!kept.log\n")
    assert list(files_of(tmp_path)) == [".gitignore", "data/in/x", "recipe.yaml", "s/a.py"]


def test_what_git_ignores_everywhere_is_not_taken() -> None:
    ignored = {line.strip("/") for line in (ROOT / ".gitignore").read_text().split()}
    names = {name for name in ignored if "/" not in name}
    assert {name for name in names if not any(Path(name).match(pattern) for pattern in LEFT_BEHIND)} == set()
    assert ".mypy_cache" in names
