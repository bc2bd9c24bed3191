"""The papers of a kit: licences as the lock has them, and what the rehearsal found."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from bundler.builder.assemble import LocalModel
from bundler.builder.hub.fetch import Snapshot
from bundler.builder.hub.store import ModelStore
from bundler.builder.lock import LicenseText
from bundler.builder.model_tree import ModelTree
from bundler.builder.papers import papers_of
from bundler.builder.recipe_models import ModelSpec
from bundler.core.check_result import CheckResult
from tests.support.locked import COMMIT, license_of, locked_model

SPEC = ModelSpec.model_validate({"name": "tiny", "repo": "owner/tiny", "path": "/m/tiny"})


def local(license_id: str | None = "apache-2.0", commit: str | None = COMMIT, **values: Any) -> LocalModel:
    locked = locked_model(
        "tiny", canonical_id="owner/tiny-now", commit=commit, license=license_of(license_id, **values)
    )
    tree = ModelTree("tiny", PurePosixPath("/m/tiny"), 0, 0, ())
    return LocalModel(SPEC, Snapshot(locked, ModelStore(Path("/nowhere"))), tree)


def texts(*paths: str) -> tuple[LicenseText, ...]:
    return tuple(LicenseText(path=path, sha256="c" * 64, text=f"the terms of {path}\n") for path in paths)


def statement(model: LocalModel) -> str:
    return bytes(papers_of([model], None)["licences/tiny/STATED.txt"]).decode()  # type: ignore[arg-type] # it is no path


def test_the_repos_own_terms_travel_beside_the_statement() -> None:
    papers = papers_of([local(texts=texts("LICENSE.md", "USE_POLICY.md", "sub/LICENSE", "Stated.txt", "a\\b"))], None)
    assert sorted(papers) == [
        "licences/tiny/LICENSE.md",
        "licences/tiny/STATED.txt",
        "licences/tiny/USE_POLICY.md",
        "licences/tiny/a_b",
        "licences/tiny/repo-Stated.txt",
        "licences/tiny/sub/LICENSE",
    ]
    assert papers["licences/tiny/LICENSE.md"] == b"the terms of LICENSE.md\n"


def test_what_is_stated_of_an_open_licence() -> None:
    assert statement(local()).splitlines() == [
        "model: tiny",
        "repo: owner/tiny-now",
        "asked for as: owner/tiny",
        f"commit: {COMMIT}",
        "licence: apache-2.0",
        "texts: none in the repo",
        "gated: no",
        "conditions: none that want to be accepted",
    ]


def test_what_is_stated_of_terms_that_somebody_took_on() -> None:
    terms = local(
        "other",
        name="acme-non-commercial\nlicence: mit",
        link="https://acme.example/terms",
        gated=True,
        texts=texts("LICENSE"),
        accepted="command line",
    )
    assert statement(terms).splitlines()[4:] == [
        "licence: other",
        "name of the licence: acme-non-commercial licence: mit",
        "stated at: https://acme.example/terms",
        "texts: LICENSE",
        "gated: yes, the Hub asks whoever downloads it to agree first",
        "conditions: no commercial use; the repo is gated: the Hub asks whoever downloads it to agree first",
        "accepted: acme-non-commercial licence: mit, on the command line, `--accept-licence`",
    ]


@pytest.mark.parametrize(("accepted", "told"), [("recipe", "by the recipe"), ("command line", "on the command line")])
def test_who_took_it_on(accepted: str, told: str) -> None:
    assert f"accepted: cc-by-nc-4.0, {told}" in statement(local("cc-by-nc-4.0", accepted=accepted))


def test_a_repo_that_states_nothing_is_said_to() -> None:
    assert "licence: none stated by the repo" in statement(local(None))


def test_a_model_without_a_commit_is_said_to_be_one() -> None:
    assert "commit: none: known by the digests of its files" in statement(local(commit=None))


def test_what_the_rehearsal_found() -> None:
    results = [CheckResult("answers", "run", passed=True, detail="as expected", seconds=0.2)]
    papers = papers_of([], ("full", results))
    assert list(papers) == ["checks.json"]
    document = json.loads(bytes(papers["checks.json"]))  # type: ignore[arg-type] # as above
    assert document == {"rehearsal": "full", "checks": [results[0].to_json()]}
    assert json.loads(bytes(papers_of([], ("off", ()))["checks.json"])) == {"rehearsal": "off", "checks": []}  # type: ignore[arg-type]
