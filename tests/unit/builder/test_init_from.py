"""`bundler init --from`: the shipped recipes under other names, and all that a recipe may hold."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bundler.builder import shipped_recipes
from bundler.builder.init_from import Started, init_from
from bundler.builder.recipe import Recipe
from bundler.builder.recipe_checks import GoldenSpec
from bundler.builder.recipe_file import load_recipe
from bundler.builder.schema import schema_text
from bundler.builder.source_policy.lint import lint_paths
from bundler.core.errors import PreconditionError, UsageError
from tests.support.starting_recipe import NAME, write_starting_recipe

SHIPPED = shipped_recipes.shipped_recipes()
MODELS = [(name, model.name) for name in SHIPPED for model in load_recipe(shipped_recipes.shipped_recipe(name)).models]
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s#:]+)[^)\s:]*\)")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where recipes to start from stand: one of ours."""
    monkeypatch.setattr(shipped_recipes, "_PLACES", (tmp_path / "recipes",))
    write_starting_recipe(tmp_path / "recipes")
    return tmp_path / "recipes"


def texts_in(directory: Path) -> dict[str, str]:
    paths = [path for path in sorted(directory.rglob("*")) if path.is_file()]
    return {str(path.relative_to(directory)): path.read_bytes().decode(errors="replace") for path in paths}


def goldens_of(recipe: Recipe) -> list[str]:
    """Files of recorded outputs that are there."""
    files = [check.golden for check in recipe.checks if isinstance(check, GoldenSpec)]
    return [file for file in files if recipe.path_of(file).exists()]


# -- the shipped ones


@pytest.mark.parametrize("origin", SHIPPED)
def test_a_shipped_recipe_works_under_another_name(origin: str, tmp_path: Path) -> None:
    target = tmp_path / "a" / "mine"
    started = init_from(origin, target, "my-own")
    before, after = load_recipe(shipped_recipes.shipped_recipe(origin)), load_recipe(target)
    assert after.name == "my-own"
    assert {tag.tag for tag in [after.base.tag, *(app.tag for app in after.apps)]} == {
        tag.tag for tag in [before.base.tag, *(app.tag for app in before.apps)]
    }
    assert all("my-own" in str(app.tag) for app in after.apps)
    assert (after.models, len(after.checks)) == (before.models, len(before.checks))
    for golden in goldens_of(before):
        assert after.path_of(golden).read_bytes() == before.path_of(golden).read_bytes()
    assert all(path.is_file() for path in started.files)
    assert (target / "recipe.schema.json").read_text() == schema_text()
    assert lint_paths([target]).findings == ()


@pytest.mark.parametrize("origin", SHIPPED)
def test_its_old_name_stands_nowhere_but_where_it_came_from(origin: str, tmp_path: Path) -> None:
    init_from(origin, tmp_path, "my-own")
    kept = goldens_of(load_recipe(tmp_path))
    texts = {name: text for name, text in texts_in(tmp_path).items() if name not in kept}
    recipe = texts["recipe.yaml"].splitlines()
    assert [line for line in recipe if line.startswith(f"# Started from bundler's recipe {origin};")] == [recipe[1]]
    texts["recipe.yaml"] = "\n".join(recipe[2:])
    begun = f"--from {origin} "  # how one begins with it is the same for everybody
    old = re.compile(rf"(?<![\w.-]){origin}(?!\w)")
    assert [name for name, text in texts.items() if old.search(text.replace(begun, ""))] == []


@pytest.mark.parametrize("origin", SHIPPED)
def test_its_programs_are_programs_and_its_links_lead_somewhere(origin: str, tmp_path: Path) -> None:
    started = init_from(origin, tmp_path, "my-own")
    for path in started.files:
        if path.suffix == ".py":
            compile(path.read_text(), str(path), "exec")
        if path.suffix == ".md":
            assert [link for link in LINK.findall(path.read_text()) if not (path.parent / link).exists()] == []


@pytest.mark.parametrize(("origin", "model"), MODELS)
def test_each_model_can_be_exchanged(origin: str, model: str, tmp_path: Path) -> None:
    started = init_from(origin, tmp_path, "my-own", [f"{model}=acme/another"])
    recipe = load_recipe(tmp_path)
    assert {each.name: each.repo for each in recipe.models}[model] == "acme/another"
    assert [each for each in goldens_of(recipe) if each in started.not_taken] == []
    assert [each for each in started.not_taken if (tmp_path / each).exists()] == []
    assert lint_paths([tmp_path]).findings == ()


@pytest.mark.parametrize(
    ("file", "names"),
    [
        ("backend/services/embedding/sarashina.py", {"POOLING"}),
        ("backend/services/reranker/llama_nv.py", {"LONGEST", "PADDING_SIDE", "PROMPT"}),
        ("golden/record.py", {"POOLING", "PROMPT"}),
    ],
)
def test_what_a_model_of_ocr_rag_was_trained_with_is_marked(file: str, names: set[str], tmp_path: Path) -> None:
    """Left as it is for another model it makes wrong numbers, and no error."""
    init_from("ocr-rag", tmp_path, "mine", ["reranker=acme/another"])
    marked = re.findall(r"^#: .*CHANGE: (?:.*\n#: )*.*\n([A-Z_]+)", (tmp_path / file).read_text("utf-8"), re.MULTILINE)
    assert set(marked) == names


def test_what_was_recorded_of_quickstarts_model_goes_with_it(tmp_path: Path) -> None:
    """Where a recipe has one model, its name needs not be said."""
    started = init_from("quickstart", tmp_path, "mine", ["acme/another"])
    assert started.not_taken == ("golden/minilm.json",)
    assert "README.md" in started.still_named
    assert goldens_of(load_recipe(tmp_path)) == []
    assert "# - { name: vectors, golden: golden/minilm.json," in (tmp_path / "recipe.yaml").read_text()


# -- what a recipe may hold


EXCHANGED = """\
# yaml-language-server: $schema=./recipe.schema.json
# Started from bundler's recipe deep-ocr; `grep -rn CHANGE: .` shows what is to be changed.
format: 1
name: mine
version: 1.0.0
platform: linux/amd64
# CHANGE: these licences were accepted by somebody else; accept those that you have read.
# accept_licences:
#   - cc-by-nc-4.0

models:
  # The largest first.
  # CHANGE: the files of me/e5 that are taken; name, path and patterns are those for acme/embed-1b. The path stands in
  # dev.sh too.
  - name: embedder
    repo: me/e5
    # CHANGE: it was meant for acme/embed-1b.
    # revision: 0123456789abcdef0123456789abcdef01234567
    path: /app/models/embedder
    # CHANGE: it was meant for acme/embed-1b.
    # min_size: 4GB
    # CHANGE: it was meant for acme/embed-1b.
    # sources:
    #   - hub
    #   - git: https://git.example/acme/embed-1b.git
    # CHANGE: it was meant for acme/embed-1b.
    # allow: [pickled-weights]        # of the first release
  # CHANGE: the model, and which of its files are taken.
  - { name: ranker, repo: acme/rank-1b, path: /app/models/ranker }

base: { dockerfile: Dockerfile.base, tag: "mine:base" }
apps:
  - { dockerfile: Dockerfile, tag: "mine:1.0.0" }
# CHANGE: the images of others that run beside it.
images:
  - { image: "postgres:17", from: registry }

# CHANGE: what your service has to show; these questions and answers fit the recipe that this one began as.
checks:
  # CHANGE: record golden/embedder.json of me/e5, by an independent reference: docs/checks.md of bundler. What was
  # recorded of acme/embed-1b is not here any more.
  # - name: same
  #   golden: golden/embedder.json
  #   run: [python, -m, embed]

  # Of two texts.
  # CHANGE: golden/ranker.json was recorded of ranker as it is; of another model it is recorded again, by an independent
  # reference: docs/checks.md of bundler.
  - { name: ranks, golden: golden/ranker.json, run: [python, -m, rank] }
  - { name: there, run: "test -s /app/models/ranker/config.json" }
"""


BESIDE = """\
# yaml-language-server: $schema=../recipe.schema.json
format: 1
name: mine-llm
version: 1.0.0
platform: linux/amd64
models:
  # CHANGE: the model, and which of its files are taken.
  - { name: llm, repo: acme/llm-1b, path: /models/llm }
# CHANGE: acme/server:1 comes from a registry or from the engine that builds; name one that is there.
base: { image: "acme/server:1", tag: "mine-llm:1.0.0" }
"""


@pytest.fixture
def exchanged(place: Path, tmp_path: Path) -> Started:
    return init_from(NAME, tmp_path / "mine", "mine", ["embedder=me/e5"])


def test_a_recipe_that_stands_beside_it_is_commented_too(exchanged: Started, tmp_path: Path) -> None:
    assert (tmp_path / "mine" / "llm" / "recipe.yaml").read_text() == BESIDE


def test_what_is_to_be_recorded_is_told(place: Path, tmp_path: Path) -> None:
    """With nothing exchanged all of it is there; a file that nobody recorded is not."""
    assert init_from(NAME, tmp_path / "mine", "mine").to_record == ()
    (place / NAME / "golden" / "ranker.json").unlink()
    assert init_from(NAME, tmp_path / "other", "other").to_record == ("golden/ranker.json",)


def test_a_file_that_two_checks_compare_with_is_told_once(tmp_path: Path) -> None:
    to_record = init_from("ocr-rag", tmp_path / "rag", "my-rag").to_record
    assert to_record == ("golden/sarashina.json", "golden/reranker.json", "golden/yomitoku.json")


def test_lines_that_held_for_the_old_model_are_comments(exchanged: Started, tmp_path: Path) -> None:
    assert (tmp_path / "mine" / "recipe.yaml").read_text() == EXCHANGED
    recipe = load_recipe(tmp_path / "mine")
    assert [check.name for check in recipe.checks] == ["ranks", "there"]
    assert (recipe.models[0].revision, recipe.models[0].sources, recipe.accept_licences) == ("main", ("hub",), ())


def test_what_was_recorded_stays_as_it_is_or_goes(exchanged: Started, place: Path, tmp_path: Path) -> None:
    left = tmp_path / "mine" / "golden"
    assert [path.name for path in left.iterdir()] == ["ranker.json"]
    assert (left / "ranker.json").read_bytes() == (place / NAME / "golden" / "ranker.json").read_bytes()
    assert exchanged.not_taken == ("golden/embedder.json",)


def test_names_are_exchanged_and_longer_words_are_not(exchanged: Started, tmp_path: Path) -> None:
    texts = texts_in(tmp_path / "mine")
    assert texts["Dockerfile"] == "FROM mine:base\nUSER mine\n"
    assert texts["mine.conf"] == "name = mine\n"
    assert texts["dev.sh"] == "#!/bin/sh\ndocker logs mine-app-dev  # of mine:1.0.0, me/e5\nls /app/models/embedder\n"
    assert texts["README.md"] == (
        "# mine, with embed-1b of acme\n\n"
        "Build it with `bundler build .`; `deep-ocrs`, `deep_ocr` and `not-deep-ocr` are others, as are\n"
        "`recipes/deep-ocr-2` and acme/rank-1b. See checks (docs/checks.md#golden of bundler), [policy](docs/POLICY.md), "
        "[there](#there)\nand [the page](https://huggingface.co/acme/embed-1b).\n"
    )
    assert texts["docs/POLICY.md"] == "Of [mine](../README.md).\n"
    assert exchanged.still_named == ("README.md",)


def test_programs_stay_programs_and_pictures_pictures(exchanged: Started, place: Path, tmp_path: Path) -> None:
    programs = [path.name for path in exchanged.files if path.stat().st_mode & 0o111]
    assert programs == ["dev.sh"]
    assert (tmp_path / "mine" / "page.png").read_bytes() == (place / NAME / "page.png").read_bytes()


def test_images_from_outside_are_told_where_they_are_written(exchanged: Started, tmp_path: Path) -> None:
    assert (tmp_path / "mine" / "Dockerfile.base").read_text().splitlines() == [
        "# check=skip=all",
        "# The system.",
        "# CHANGE: debian:slim comes from a registry or from the engine that builds; name one that is there.",
        "ARG FLAVOUR=slim",
        "FROM debian:${FLAVOUR}",
        "RUN true",
        "FROM debian:${FLAVOUR}",
        "# CHANGE: busybox:1.36 comes from a registry or from the engine that builds; name one that is there.",
        "COPY --from=busybox:1.36 /bin/busybox /bin/busybox",
    ]


# -- where it can't


def test_a_directory_that_is_not_empty_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(PreconditionError, match="not empty"):
        init_from("quickstart", tmp_path, "mine")
    assert texts_in(tmp_path) == {"notes": "mine"}


def test_an_empty_directory_will_do(tmp_path: Path) -> None:
    init_from("quickstart", tmp_path, "mine")
    assert load_recipe(tmp_path).name == "mine"


@pytest.mark.parametrize(
    ("name", "why"), [("x", "of a container"), ("a" * 33, "of a user"), ("2024", "YAML"), ("My", "cannot be the name")]
)
def test_names_that_containers_and_users_cannot_have(name: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=why):
        init_from("quickstart", tmp_path / "new", name)
    assert not (tmp_path / "new").exists()


def test_all_or_nothing(tmp_path: Path) -> None:
    """A file stands where the recipe's directory would have to be."""
    (tmp_path / "file").write_text("")
    with pytest.raises(PreconditionError, match="cannot write"):
        init_from("quickstart", tmp_path / "file" / "deeper", "mine")
    assert texts_in(tmp_path) == {"file": ""}
