"""The papers of a kit: licences as the repos state them, and what the rehearsal found."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath

import pytest
from bundler.builder.hub.snapshot import Snapshot

from bundler.builder.assemble import LocalModel
from bundler.builder.lock import LockedFile, LockedModel
from bundler.builder.model_tree import ModelTree
from bundler.builder.papers import papers_of
from bundler.builder.recipe_models import ModelSpec
from bundler.core.check_result import CheckResult

COMMIT = "a1" * 20


def local(directory: Path, *files: str, license_id: str | None = "apache-2.0") -> LocalModel:
    locked = LockedModel(
        name="tiny",
        repo_id="acme/tiny",
        canonical_id="acme/tiny-now",
        revision="main",
        commit=COMMIT,
        include=(),
        exclude=(),
        license=license_id,
        files=tuple(LockedFile(path=path, size=1, sha256="c" * 64, git_sha1=None) for path in sorted(files)),
    )
    spec = ModelSpec.model_validate({"name": "tiny", "repo": "acme/tiny", "path": "/m/tiny"})
    return LocalModel(spec, Snapshot(locked, directory), ModelTree("tiny", PurePosixPath("/m/tiny"), 0, 0, ()))


def test_licence_files_travel_beside_the_statement(tmp_path: Path) -> None:
    papers = papers_of([local(tmp_path, "LICENSE.md", "Notice", "USE_POLICY.md", "config.json", "sub/LICENSE")], None)
    assert sorted(papers) == [
        "licences/tiny/LICENSE.md",
        "licences/tiny/Notice",
        "licences/tiny/STATED.txt",
        "licences/tiny/USE_POLICY.md",
    ]
    assert papers["licences/tiny/LICENSE.md"] == tmp_path / "LICENSE.md"
    statement = bytes(papers["licences/tiny/STATED.txt"]).decode()  # type: ignore[arg-type] # it is no path
    assert statement == f"model: tiny\nrepo: acme/tiny-now\ncommit: {COMMIT}\nlicence: apache-2.0\n"


@pytest.mark.parametrize("name", ["licence", "LICENCE.txt", "license-mit", "LICENSE"])
def test_names_of_licence_files(tmp_path: Path, name: str) -> None:
    assert f"licences/tiny/{name}" in papers_of([local(tmp_path, name)], None)


def test_a_repo_that_states_nothing_is_said_to(tmp_path: Path) -> None:
    papers = papers_of([local(tmp_path, "config.json", license_id=None)], None)
    assert b"none stated by the repo" in bytes(papers["licences/tiny/STATED.txt"])  # type: ignore[arg-type] # as above


def test_what_the_rehearsal_found(tmp_path: Path) -> None:
    results = [CheckResult("answers", "run", passed=True, detail="as expected", seconds=0.2)]
    papers = papers_of([], ("full", results))
    assert list(papers) == ["checks.json"]
    document = json.loads(bytes(papers["checks.json"]))  # type: ignore[arg-type] # as above
    assert document == {"rehearsal": "full", "checks": [results[0].to_json()]}
    assert json.loads(bytes(papers_of([], ("off", ()))["checks.json"])) == {"rehearsal": "off", "checks": []}  # type: ignore[arg-type]
