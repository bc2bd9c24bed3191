"""Models in a recipe: where they come from, how they are brought, and how several of them lie in an image."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.recipe_text import GOOD, changed, load, only, write_dockerfiles


@pytest.fixture
def here(tmp_path: Path) -> Path:
    return write_dockerfiles(tmp_path)


SOURCE_FAULTS = [
    ("sources: hub", "is 'hub', not a list"),
    ("sources: []", "empty"),
    ("sources: [hubb]", "not a source of models"),
    ("sources: [7]", "not a source of models"),
    ("sources: [{ endpont: x }]", "not a source of models"),
    ("sources: [{ endpoint: 'https://m.example', git: 'https://m.example/x' }]", "not a source of models"),
    ("sources: [{ endpoint: m.example }]", "not an address"),
    ("sources: [{ endpoint: 'https://m.example', token: x }]", "`models[0].sources[0].token`"),
    ("sources: [{ git: m.example }]", "not the address of a git repository"),
    ("sources: [{ directory: 7 }]", "not text"),
    ("sources: [{ urls: [] }]", "empty"),
    (f"sources: [{{ urls: [{{ path: ./a, url: 'https://x/a', sha256: '{'a' * 64}' }}] }}]", "not the path of a file"),
    (f"sources: [{{ urls: [{{ path: a, url: 'https://x/a', sha256: '{'A' * 64}' }}] }}]", "sha256"),
    ("sources: [hub, { endpoint: 'https://m.example/' }, { endpoint: 'https://m.example' }]", "twice"),
    ("sources: [hub, hub]", "twice"),
    ("min_size: 4", None),
    ("min_size: '4'", "not a size"),
    ("allow: [pickles]", "'pickles'"),
    ("allow: pickled-weights", "not a list"),
    ("require: ['/x']", "outside"),
]


@pytest.mark.parametrize(("key", "what"), SOURCE_FAULTS)
def test_faults_of_what_is_said_of_a_models_sources(here: Path, key: str, what: str | None) -> None:
    text = changed("    path: /app/models/one\n", f"    path: /app/models/one\n    {key}\n")
    if what is None:
        assert load(here, text)
        return
    found = only(here, text)
    assert found.where == "recipe.yaml:9"
    assert what in found.what


URLS = """\
    layout: {layout}
    sources:
      - urls:
          - {{ path: a, url: "https://x.example/a", sha256: "{digest}" }}
          - {{ path: {path}, url: "https://x.example/{url}", sha256: "{digest}" }}
"""


def with_urls(layout: str = "plain", path: str = "b", url: str = "b") -> str:
    added = URLS.format(layout=layout, path=path, url=url, digest="a" * 64)
    return changed("    path: /app/models/one\n", f"    path: /app/models/one\n{added}")


def test_plain_addresses_one_for_each_file(here: Path) -> None:
    assert load(here, with_urls()).models[0].sources
    twice = only(here, with_urls(path="a"))
    assert (twice.where, twice.what) == (
        "recipe.yaml:13",
        "the file 'a' has two addresses, the first at recipe.yaml:12",
    )
    same = only(here, with_urls(url="a"))
    assert same.where == "recipe.yaml:13"
    assert same.what == "two files have the address 'https://x.example/a', the first at recipe.yaml:12"


def test_a_hub_cache_is_not_made_of_plain_addresses_alone(here: Path) -> None:
    found = only(here, with_urls(layout="hub-cache"))
    assert found.where == "recipe.yaml:9" and "made for a commit" in found.what
    assert load(here, with_urls(layout="hub-cache").replace("sources:\n", "sources:\n      - hub\n"))


def test_all_that_a_recipe_can_say_of_downloads(here: Path) -> None:
    digest = "a" * 64
    model = f"""\
    path: /app/models/one
    sources:
      - hub
      - {{ endpoint: "https://mirror.example/hf/" }}
      - {{ git: "ssh://git@git.example/one.git" }}
      - {{ directory: ../models/one }}
      - {{ urls: [ {{ path: model.safetensors, url: "https://x.example/m", sha256: "{digest}" }} ] }}
    require: ["*.safetensors", modules.json]
    min_size: 4.6GB
    allow: [pickled-weights, incomplete-parts]
"""
    download = """\
download:
  attempts: 10
  first_delay: 1s
  longest_delay: 2m
  deadline: 12h
  timeout: 30s
  stall: 64KiB/s
  limit_rate: 20MB/s
  connections: 4
  downloader: ranged
accept_licences: [cc-by-nc-4.0, "gated:owner/one"]
"""
    recipe = load(here, changed("    path: /app/models/one\n", model) + download)
    assert len(recipe.models[0].sources) == 5
    assert (recipe.models[0].min_size, recipe.models[0].allow) == (
        4_600_000_000,
        ("pickled-weights", "incomplete-parts"),
    )
    assert (recipe.download.deadline_s, recipe.download.stall, recipe.download.limit_rate) == (
        43200.0,
        65536,
        20_000_000,
    )
    assert recipe.accept_licences == ("cc-by-nc-4.0", "gated:owner/one")


@pytest.mark.parametrize(
    ("key", "what"),
    [
        ("attempts: 0", "greater than or equal to 1"),
        ("connections: 65", "less than or equal to 64"),
        ("first_delay: 3", "not a length of time"),
        ("limit_rate: fast", "not a size"),
        ("downloader: curl", "'curl'"),
        ("conections: 4", "`download.conections`"),
        ("{ first_delay: 1m, longest_delay: 30s }", "shorter than `first_delay` of recipe.yaml:14"),
    ],
)
def test_faults_of_what_is_said_of_downloads(here: Path, key: str, what: str) -> None:
    found = only(here, f"{GOOD}download:\n  {key}\n")
    assert (found.where, what in found.what) == ("recipe.yaml:14", True), str(found)


def two_models(path: str, name: str = "two", layout: str = "plain") -> str:
    second = f"  - {{ name: {name}, repo: owner/two, path: {path}, layout: {layout} }}\n"
    return GOOD.replace("base:", second + "base:")


def in_caches() -> str:
    first = "path: /app/models/one\n    layout: hub-cache\n"
    return two_models("/app/models/one", layout="hub-cache").replace("path: /app/models/one\n", first)


@pytest.mark.parametrize(
    ("path", "what"), [("/app/models/one", "at"), ("/app/models/one/x", "below"), ("/app", "above")]
)
def test_models_in_each_others_way(here: Path, path: str, what: str) -> None:
    found = only(here, two_models(path))
    assert found.where == "recipe.yaml:9"
    assert f"is {what} the one of recipe.yaml:8" in found.what


def test_two_models_may_share_one_hub_cache(here: Path) -> None:
    assert len(load(here, in_caches()).models) == 2
    assert "at the one" in only(here, two_models("/app/models/one", layout="hub-cache")).what


@pytest.mark.parametrize(
    ("one", "other"),
    [("from: registry, tag: 'a:1'", "from: registry, tag: 'b:1'"), ("from: engine", "from: registry, tag: 'b:1'")],
)
def test_an_image_of_others_is_asked_for_once(here: Path, one: str, other: str) -> None:
    found = only(here, f"{GOOD}images:\n- {{ image: 'x:1', {one} }}\n- {{ image: 'x:1', {other} }}\n")
    assert found.where == "recipe.yaml:15"
    assert "'x:1' is asked for twice, first at recipe.yaml:14" in found.what


def test_a_hub_cache_has_one_folder_for_a_repo(here: Path) -> None:
    again = in_caches().replace("owner/two, path", "owner/one, revision: v2, path")
    found = only(here, again)
    assert found.where == "recipe.yaml:10"
    assert "holds owner/one already, by recipe.yaml:7" in found.what
    assert "`layout: plain`" in found.remedy
    assert load(here, again.replace("path: /app/models/one, layout: hub-cache", "path: /app/models/two"))


def test_an_image_has_one_hub_cache(here: Path) -> None:
    found = only(here, in_caches().replace("path: /app/models/one, layout", "path: /srv/hub, layout"))
    assert found.where == "recipe.yaml:10"
    assert "a second Hub cache, /srv/hub; the first is /app/models/one at recipe.yaml:8" in found.what


def test_two_models_of_one_name(here: Path) -> None:
    assert "'one' stands in `models` twice" in only(here, two_models("/other", name="one")).what
