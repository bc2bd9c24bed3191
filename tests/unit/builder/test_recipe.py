"""Recipes that are right, and every way in which one is wrong: file, line, what, and what would be right."""

from __future__ import annotations

import tarfile
from pathlib import Path, PurePosixPath

import pytest

from bundler.builder.payload import payload_of
from bundler.builder.recipe import BuildSpec, ImageBase
from bundler.builder.recipe_file import load_recipe
from bundler.core.errors import RecipeError
from tests.support.recipe_text import GOOD, changed, load, only, problems, write_dockerfiles


@pytest.fixture
def here(tmp_path: Path) -> Path:
    return write_dockerfiles(tmp_path)


def test_everything_that_a_recipe_can_say(here: Path) -> None:
    (here / "compose.yaml").write_text("x")
    (here / "conf").mkdir()
    (here / "conf" / "a.ini").write_text("x")
    (here / "db.tar").write_text("x")
    recipe = load(
        here,
        GOOD
        + """\
prepare:
  - { name: modules, run: "python -m load", outputs: [/opt/modules], env: { A: "1" }, user: "1000:1000" }
images:
  - { image: "postgres:17", from: registry }
  - { image: "db", from: docker-archive, path: db.tar, tag: "team/db:2" }
files: [compose.yaml, "conf/*.ini", conf]
checks:
  - { name: a, run: [python, -V], within: 1m30s, expect: "^Py", forbid: [x, "y+"] }
  - { name: b, image: "quick:base", run: "true" }
environment: { LANG: C.UTF-8 }
labels: { org.example.team: ml }
secrets: [pip]
""",
    )
    assert isinstance(recipe.base, BuildSpec)
    assert recipe.models[0].path == PurePosixPath("/app/models/one")
    assert (recipe.models[0].revision, recipe.models[0].owner.uid, recipe.models[0].layout) == ("main", 0, "plain")
    assert recipe.prepare[0].run == ("/bin/sh", "-c", "python -m load")
    assert [str(image.name) for image in recipe.images] == ["docker.io/library/postgres:17", "docker.io/team/db:2"]
    assert [check.within_s for check in recipe.checks] == [90.0, 60.0]
    assert recipe.checks[0].forbid == ("x", "y+")
    assert [str(each.path) for each in payload_of(recipe)] == ["compose.yaml", "conf/a.ini"]
    assert recipe.where("models", 0, "path") == "recipe.yaml:8"
    assert recipe.where("models", 0, "owner") == "recipe.yaml:6"


def test_a_layout_may_be_a_directory_or_a_tar(here: Path) -> None:
    (here / "layout").mkdir()
    (here / "layout" / "oci-layout").write_text("{}")
    with tarfile.open(here / "layout.tar", "w") as archive:
        archive.add(here / "layout", ".")
    listed = "".join(
        f"- {{ image: '{path}:1', from: oci-layout, path: {path} }}\n" for path in ("layout", "layout.tar")
    )
    assert [each.path for each in load(here, f"{GOOD}images:\n{listed}").images] == ["layout", "layout.tar"]
    with tarfile.open(here / "layout.tar", "w:gz") as archive:
        archive.add(here / "layout", ".")
    assert "uncompressed" in only(here, f"{GOOD}images:\n{listed}").remedy


def test_a_base_that_exists_needs_no_dockerfile(here: Path) -> None:
    recipe = load(here, changed("dockerfile: Dockerfile.base", 'image: "debian:12"'))
    assert isinstance(recipe.base, ImageBase)


def test_values_are_frozen(here: Path) -> None:
    recipe = load(here, GOOD)
    with pytest.raises(ValueError, match="frozen"):
        recipe.models[0].repo = "x/y"  # type: ignore[misc]  # that it cannot be done is the test


ONE_FAULT = [
    ("name: quick\n", "name: Quick One\n", 2, "'Quick One'"),
    ('version: "1.0.0"', "version: 1.0", 3, "not text"),
    ("linux/amd64", "windows/amd64", 4, "'windows/amd64'"),
    ("format: 1", "format: one", 1, "'one'"),
    ("format: 1", "format: true", 1, "True"),
    ("format: 1", "format: 1.0", 1, "1.0"),
    ("format: 1", "format: 0", 1, "0"),
    ("format: 1\n", "", 1, "`format` is missing"),
    ("models:\n", "modles: []\nmodels:\n", 5, "`modles`"),
    ("    repo: owner/one\n", "", 6, "`models[0].repo` is missing"),
    ("    repo: owner/one\n", "    repo: owner/one\n    revison: main\n", 8, "`models[0].revison`"),
    ("owner/one", "https://hub.example/owner/one", 7, "not a repo"),
    ("/app/models/one", "models/one", 8, "not an absolute path"),
    ("/app/models/one", "/app/../one", 8, "not normalised"),
    ("/app/models/one", "/app//one", 8, "not normalised"),
    ("/app/models/one", "/app/one/", 8, "not normalised"),
    ("/app/models/one", "/", 8, "root of the image"),
    ("/app/models/one", '"/app/a b"', 8, "characters"),
    ("/app/models/one", '"/app/a:b"', 8, "characters"),
    ("/app/models/one", "/app/.wh.one", 8, "characters"),
    ("/app/models/one", "/tmp/one", 8, "mount"),
    ("/app/models/one", "7", 8, "not text"),
    ("    path: /app/models/one", '    path: /app/models/one\n    include: ["../*"]', 9, "outside"),
    ("    path: /app/models/one", "    path: /app/models/one\n    include: a.json", 9, "not a list"),
    ("    path: /app/models/one", "    path: /app/models/one\n    layout: flat", 9, "'flat'"),
    ("    path: /app/models/one", "    path: /app/models/one\n    owner: { uid: -1 }", 9, "greater than"),
    ("    path: /app/models/one", '    path: /app/models/one\n    owner: { uid: "1" }', 9, "not a whole number"),
    ('"quick:base"', '":base"', 9, "no image name before its tag"),
    ('"quick:base"', '"quick"', 9, "no tag"),
    ('"quick:1.0.0"', f'"quick@sha256:{"0" * 64}"', 12, "digest"),
    ('"quick:1.0.0"', '"Quick:1"', 12, "capitals"),
    ('"quick:1.0.0"', '"quick:base"', 12, "two images"),
    ('"quick:1.0.0"', '"docker.io/library/quick:base"', 12, "two images"),
    ("dockerfile: Dockerfile\n", "dockerfile: Nosuch\n", 11, "'Nosuch' does not exist"),
    ("dockerfile: Dockerfile\n", 'dockerfile: "a\\0b"\n', 11, "cannot be a path"),
    ("dockerfile: Dockerfile\n", "dockerfile: .\n", 11, "cannot be read"),
    ("dockerfile: Dockerfile\n", "dockerfile: /Dockerfile\n", 11, "one machine only"),
    ("dockerfile: Dockerfile\n", "dockerfile: Dockerfile\n    context: nosuch\n", 12, "not a directory"),
    ("dockerfile: Dockerfile\n", "dockerfile: Dockerfile\n    target: nosuch\n", 12, "no such stage"),
    ("dockerfile: Dockerfile\n", "dockerfile: Dockerfile\n    args: { A: 1 }\n", 12, "not text"),
    ("dockerfile: Dockerfile.base", 'dockerfile: Dockerfile.base, image: "x:1"', 9, "`base.dockerfile`"),
    ("dockerfile: Dockerfile.base", 'image: "quick:base"', 9, "its own tag"),
]


@pytest.mark.parametrize(("old", "new", "line", "what"), ONE_FAULT)
def test_one_fault_in_what_is_there(here: Path, old: str, new: str, line: int, what: str) -> None:
    found = only(here, changed(old, new))
    assert found.where == f"recipe.yaml:{line}"
    assert what in found.what


ADDED_FAULT = [
    ("prepare:\n- { name: p, run: [a], outputs: [/app/models/one] }", 14, "at the model path"),
    ("prepare:\n- { name: p, run: [a], outputs: [/app] }", 14, "above the model path"),
    ("prepare:\n- { name: p, run: [a], outputs: [/app/models/one/x] }", 14, "below the model path"),
    ("prepare:\n- { name: p, run: [a], outputs: [/o] }\n- { name: q, run: [a], outputs: [/o/x] }", 15, "the output"),
    ("prepare:\n- { name: p, run: [a], outputs: [] }", 14, "empty"),
    ("prepare:\n- { name: p, run: [], outputs: [/o] }", 14, "not a command"),
    ("prepare:\n- { name: p, run: [a, 1], outputs: [/o] }", 14, "not a command"),
    ("prepare:\n- { name: p, run: a, outputs: [o] }", 14, "not an absolute path"),
    ("prepare:\n- { name: p, run: a, outputs: [/o], env: { 1x: a } }", 14, "'1x'"),
    ("images:\n- { image: 'x:1', from: nowhere }", 14, "'nowhere'"),
    ("images:\n- { image: 'x:1', from: oci-layout }", 14, "no path"),
    ("images:\n- { image: 'x:1', from: registry, path: x }", 14, "has a path"),
    ("images:\n- { image: 'x:1', from: oci-layout, path: nosuch }", 14, "not an OCI layout"),
    ("images:\n- { image: 'x:1', from: oci-layout, path: Dockerfile }", 14, "not an OCI layout"),
    ("images:\n- { image: 'x:1', from: oci-layout, path: . }", 14, "not an OCI layout"),
    ("images:\n- { image: 'x:1', from: docker-archive, path: nosuch }", 14, "not a file"),
    (f"images:\n- {{ image: 'x@sha256:{'0' * 64}', from: registry }}", 14, "no tag"),
    ("images:\n- { image: 'quick:1.0.0', from: registry }", 14, "two images"),
    ("images:\n- { image: 'x y', from: registry }", 14, "not an image name"),
    ("files: [nosuch]", 13, "does not exist"),
    ("files:\n- '*.nosuch'", 14, "no file fits"),
    ("files: ['**a/x']", 13, "cannot be looked up"),
    ('files: ["a\\0b"]', 13, "cannot be a path"),
    (f"files: [{'a' * 300}]", 13, "cannot be a path"),
    ("files: [../x]", 13, "outside"),
    ("files: [/etc/passwd]", 13, "outside"),
    ("checks:\n- { name: c, run: [a], within: 10 }", 14, "not a length of time"),
    ("checks:\n- { name: c, run: [a], within: 0s }", 14, "not a length of time"),
    ("checks:\n- { name: c, run: [a], within: 999999999999999h }", 14, "longer than a year"),
    ("checks:\n- { name: c, run: [a], within: 10.0 }", 14, "not a length of time"),
    ("checks:\n- { name: c, run: [a], expect: '(' }", 14, "not a regular expression"),
    ("checks:\n- { name: c, run: [a], forbid: [ok, '*'] }", 14, "not a regular expression"),
    ("checks:\n- { name: c, run: [a], image: 'other:1' }", 14, "other:1"),
    ("checks:\n- { name: c, run: [a], user: 1000 }", 14, "not text"),
    ("checks:\n- { name: c, run: [a] }\n- { name: c, run: [b] }", 15, "twice"),
    ("checks:\n- { name: c, serve: 0 }", 14, "`checks[0].serve`"),
    ("checks:\n- { name: c, serve: 80, ask: health }", 14, "`checks[0].ask`"),
    ("checks:\n- { name: c, serve: 80, expect: a }", 14, "nothing is asked"),
    ('checks:\n- { name: c, serve: 80, ask: { path: /, body: "a\\0b" } }', 14, "cannot be sent"),
    (f"checks:\n- {{ name: c, serve: 80, ask: /{'x' * 100_000} }}", 14, "cannot be sent"),
    ("checks:\n- { name: c, serve: 80, ask: { path: /, headers: { 'a b': c } } }", 14, "a b"),
    ("checks:\n- { name: c, serve: 80, watch: 30 }", 14, "not a length of time"),
    ("checks:\n- { name: c, run: [a], watch: 30s }", 14, "`checks[0].watch`"),
    ("checks:\n- { name: c, run: [a], allow: ['a b'] }", 14, "HOST"),
    ("checks:\n- { name: c, run: [a], gpu: 1 }", 14, "`checks[0].gpu`"),
    ("environment: { A: 1 }", 13, "not text"),
    ("environment: [A]", 13, "not keys and values"),
    ("labels: { a: yes please, b: true }", 13, "not text"),
    ("secrets: ['a b']", 13, "'a b'"),
]


@pytest.mark.parametrize(("added", "line", "what"), ADDED_FAULT)
def test_one_fault_in_what_is_added(here: Path, added: str, line: int, what: str) -> None:
    found = only(here, f"{GOOD}{added}\n")
    assert found.where == f"recipe.yaml:{line}"
    assert what in found.what


@pytest.mark.parametrize(
    ("wrong", "right"), [("modles", "models"), ("chekcs", "checks"), ("enviroment", "environment")]
)
def test_the_nearest_key_is_named(here: Path, wrong: str, right: str) -> None:
    assert only(here, f"{GOOD}{wrong}: []\n").remedy == f"did you mean `{right}`?"


def test_keys_are_listed_where_none_is_near(here: Path) -> None:
    assert "dockerfile, tag, context, args, args_from, target" in only(here, GOOD + "    zzzzzz: 1\n").remedy


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("", "recipe.yaml:1", "empty"),
        ("# nothing but a comment\n", "recipe.yaml:1", "empty"),
        ("- a\n- b\n", "recipe.yaml:1", "no keys"),
        ("just text\n", "recipe.yaml:1", "no keys"),
        ("format: 1\nname: [a\nversion: 1\n", "recipe.yaml:3", "not YAML"),
        ("format: 1\n\tname: x\n", "recipe.yaml:2", "not YAML"),
        ("format: 1\nname: a\nname: b\n", "recipe.yaml:3", "name"),
        (b"format: 1\nname: \xff\xfe\n", "recipe.yaml:2", "not UTF-8"),
        (b"\x7fELF\x00\x01\x02\n", "recipe.yaml", "not YAML"),
        ("format: 1\n---\nformat: 1\n", "recipe.yaml:2", "not YAML"),
        ("a: !!python/object:os.system x\n", "recipe.yaml:1", "`a`"),
    ],
)
def test_files_that_are_no_recipe(here: Path, text: str | bytes, where: str, what: str) -> None:
    found = [each for each in problems(here, text) if what in each.what]
    assert [each.where for each in found] == [where]


def test_no_file_and_no_directory(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "nosuch", Path(__file__)):
        with pytest.raises(RecipeError) as caught:
            load_recipe(place)
        assert caught.value.remedy


def test_a_directory_in_the_recipes_place(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").mkdir()
    with pytest.raises(RecipeError, match="cannot be read: Is a directory"):
        load_recipe(tmp_path)


def test_a_newer_format_is_said_alone(here: Path) -> None:
    with pytest.raises(RecipeError, match="format 2") as caught:
        load(here, changed("format: 1", "format: 2") + "new_key: 1\n")
    assert caught.value.where == "recipe.yaml:1"
    assert caught.value.problems == ()


def test_links_in_a_circle_are_no_payload(here: Path) -> None:
    (here / "a").symlink_to("b")
    (here / "b").symlink_to("a")
    assert only(here, GOOD + "files: [a]\n").where == "recipe.yaml:13"


def test_merge_keys_and_anchors_are_plain_yaml(here: Path) -> None:
    recipe = load(here, GOOD + "labels: &a { x: '1' }\nenvironment: { <<: *a, Y: '2' }\n")
    assert recipe.environment == {"x": "1", "Y": "2"}


def test_links_to_the_outside_are_no_payload(here: Path) -> None:
    (here / "conf").mkdir()
    (here / "conf" / "secret").symlink_to("/etc/hostname")
    (here / "inside").symlink_to("Dockerfile")
    assert "leads outside" in only(here, GOOD + "files: [conf]\n").what
    assert [str(each.path) for each in payload_of(load(here, GOOD + "files: [inside]\n"))] == ["inside"]


@pytest.mark.parametrize(
    ("dockerfile", "where", "what"),
    [
        ("# the app\nFROM python:3.12\n", "Dockerfile:2", "FROM python:3.12, not from the base quick:base"),
        ("FROM quick:base AS x\nFROM busybox\nCOPY --from=x /a /a\n", "Dockerfile:2", "not from the base"),
        ("FROM scratch\n", "Dockerfile:1", "not from the base"),
        ("ARG BASE=quick:old\nFROM $BASE\n", "Dockerfile:2", "FROM quick:old"),
        ("FROM quick:base\nRUN --mount=type=secret,id=pip x\n", "Dockerfile:2", "the secret 'pip'"),
        ("FROM quick:base\nCOPY --from=No_Such x y\n", "Dockerfile:2", "no image name"),
        ("FROM quick:base\nCOPY --from=quick:1.0.0 x y\n", "Dockerfile:2", "an app of this recipe"),
        ("FROM quick:base\nRNU x\n", "Dockerfile:2", "unknown instruction"),
        ("x\0y", "Dockerfile", "binary"),
    ],
)
def test_faults_of_an_apps_dockerfile(here: Path, dockerfile: str, where: str, what: str) -> None:
    (here / "Dockerfile").write_text(dockerfile)
    found = only(here, GOOD)
    assert (found.where, what in found.what) == (where, True), str(found)


@pytest.mark.parametrize(
    "dockerfile",
    [
        "FROM docker.io/library/quick:base\n",
        "ARG TAG=base\nFROM quick:${TAG}\n",
        "FROM quick:base AS a\nFROM busybox AS b\nFROM a\nCOPY --from=b /x /x\n",
    ],
)
def test_ways_to_stand_on_the_base(here: Path, dockerfile: str) -> None:
    (here / "Dockerfile").write_text(dockerfile)
    assert load(here, GOOD).apps


def test_build_arguments_and_target_decide_the_final_stage(here: Path) -> None:
    (here / "Dockerfile").write_text("ARG B\nFROM $B AS good\nFROM busybox AS other\n")
    build = "dockerfile: Dockerfile\n    args: { B: 'quick:base' }\n"
    assert load(here, changed("dockerfile: Dockerfile\n", build + "    target: good\n")).apps
    assert "not from the base" in only(here, changed("dockerfile: Dockerfile\n", build)).what


def test_a_base_from_its_own_tag(here: Path) -> None:
    (here / "Dockerfile.base").write_text("FROM busybox AS x\nFROM quick:base\n")
    assert only(here, GOOD).where == "Dockerfile.base:2"


TEN_FAULTS = """\
format: 1
name: quick
version: 1.0
platform: linux/amd64
models:
  - { name: one, repo: owner/one, path: models/one }
  - { name: two, repo: owner/two, path: /app/two }
  - { name: three, repo: owner/three, path: /app/two/three }
  - { name: four, repo: owner/four, path: /app/two }
base: { dockerfile: Nosuch, tag: ":base" }
apps:
  - { dockerfile: Dockerfile, tag: "quick:1", contxt: . }
files: [nosuch]
checks:
  - name: answers
    run: [a]
    within: soon
    image: "other:1"
"""


def test_a_recipe_with_ten_faults(here: Path) -> None:
    # The fourth model stands in the way of two others: eleven findings.
    found = problems(here, TEN_FAULTS)
    assert all(each.remedy for each in found)
    expected = [
        ("recipe.yaml:3", "not text"),
        ("recipe.yaml:6", "'models/one' is not an absolute path"),
        ("recipe.yaml:8", "/app/two/three is below"),
        ("recipe.yaml:9", "/app/two is above the one of recipe.yaml:8"),
        ("recipe.yaml:9", "/app/two is at the one of recipe.yaml:7"),
        ("recipe.yaml:10", "before its tag"),
        ("recipe.yaml:10", "'Nosuch' does not exist"),
        ("recipe.yaml:12", "`apps[0].contxt`"),
        ("recipe.yaml:13", "'nosuch' does not exist"),
        ("recipe.yaml:17", "'soon' is not a length of time"),
        ("recipe.yaml:18", "other:1"),
    ]
    assert [each.where for each in found] == [where for where, _ in expected]
    for each, (_, what) in zip(found, expected, strict=True):
        assert what in each.what
