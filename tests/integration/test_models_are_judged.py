"""What is refused as a model or wants a word for its licence, as a person meets it: ``bundler fetch`` against a Hub."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from testbed.hub import Hub
from testbed.hub_repo import HubRepo, lfs_pointer
from tests.support.build_site import RECIPE, REPO, write_model, write_recipe

PAGE = b"<!DOCTYPE html>\n<html><body>Please sign in to the guest network</body></html>\n"


@dataclass(frozen=True)
class Place:
    """A repo that a test spoils before anything asks for it, and a recipe."""

    root: Path

    @property
    def repo(self) -> Path:
        return self.root / "repo"

    @property
    def recipe(self) -> Path:
        return self.root / "recipe" / "recipe.yaml"

    @property
    def lock(self) -> Path:
        return self.root / "recipe" / "recipe.lock"

    def fetch(self, *options: str) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, "XDG_CACHE_HOME": str(self.root / "cache"), "HOME": str(self.root)}
        for name in ("HF_ENDPOINT", "HF_TOKEN"):
            env.pop(name, None)
        with Hub([HubRepo(REPO, self.repo)]) as hub:
            argv = [sys.executable, "-m", "bundler", "fetch", str(self.recipe.parent), "--endpoint", hub.endpoint]
            return subprocess.run([*argv, *options], env=env, capture_output=True, text=True, timeout=600, check=False)

    def refused(self, code: int, *options: str) -> str:
        done = self.fetch(*options)
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        return done.stderr

    def card(self, front: str) -> None:
        (self.repo / "README.md").write_text(f"---\n{front}\n---\n")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    write_model(tmp_path / "repo")
    write_recipe(tmp_path / "recipe")
    yield Place(tmp_path)


def test_a_shell_without_weights(place: Place) -> None:
    weights = place.repo / "model.safetensors"
    weights.unlink()
    for number in range(9):
        (place.repo / f"part{number}.json").write_bytes(b" " * 8000)
    told = place.refused(4)
    assert "model tiny is not a whole model: one finding" in told
    assert "is a shell, not a model: 13 files, 72," in told and "none of them weights" in told
    assert not place.lock.exists()  # nothing was locked, nothing was fetched
    assert not list((place.root / "cache").rglob("objects/*/*"))


def test_a_pointer_of_git_lfs(place: Place) -> None:
    (place.repo / "model.safetensors").write_bytes(lfs_pointer("a" * 64, 4_600_000_000))
    assert "tiny/model.safetensors: is a pointer of Git LFS" in place.refused(4)


def test_safetensors_that_were_cut(place: Place) -> None:
    weights = place.repo / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    told = place.refused(4)
    assert "tiny/model.safetensors: is cut: its tensors need 299,864 bytes, 298,864 are there" in told


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_page_in_the_place_of_a_file(place: Place, name: str) -> None:
    (place.repo / name).write_bytes(PAGE)
    assert f"tiny/{name}: is a web page (HTML)" in place.refused(4)


def test_pickled_weights_beside_safetensors(place: Place) -> None:
    (place.repo / "pytorch_model.bin").write_bytes(b"\x80\x02}q\x00.")
    told = place.refused(4)
    assert "tiny/pytorch_model.bin: is pickled weights" in told
    assert 'write `exclude: ["pytorch_model.bin"]`; or insist with `allow: [pickled-weights]`' in told
    line = "    path: /app/models/tiny\n"
    place.recipe.write_text(RECIPE.replace(line, f'{line}    exclude: ["pytorch_model.bin"]\n'))
    assert place.fetch().returncode == 0
    place.lock.unlink()
    place.recipe.write_text(RECIPE.replace(line, f"{line}    allow: [pickled-weights]\n"))
    assert place.fetch().returncode == 0


def accepted(place: Place) -> object:
    return json.loads(place.lock.read_bytes())["models"][0]["license"]["accepted"]


def test_a_licence_with_conditions_is_asked_for_once(place: Place) -> None:
    place.card("license: cc-by-nc-4.0")
    told = place.refused(10)
    assert "licence cc-by-nc-4.0: no commercial use (stated in LICENSE)" in told
    assert 'give --accept-licence cc-by-nc-4.0, or write `accept_licences: ["cc-by-nc-4.0"]`' in told
    assert not place.lock.exists()
    place.refused(10, "--accept-licence", "cc-by-4.0")
    assert place.fetch("--accept-licence", "cc-by-nc-4.0").returncode == 0
    assert accepted(place) == "command line"
    assert place.fetch().returncode == 0
    assert accepted(place) == "command line"


def test_the_recipes_word_counts_while_it_stands_there(place: Place) -> None:
    place.card("license: other\nlicense_name: acme-terms\nlicense_link: https://acme.example/terms")
    assert "licence acme-terms: terms of its maker's own" in place.refused(10)
    place.recipe.write_text(f"{RECIPE}accept_licences: [acme-terms]\n")
    assert place.fetch().returncode == 0
    assert accepted(place) == "recipe"
    place.recipe.write_text(RECIPE)
    assert "acme-terms" in place.refused(10)
