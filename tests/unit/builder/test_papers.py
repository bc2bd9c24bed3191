"""The papers of a kit: licences as the lock has them, and what the rehearsal found."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from bundler import __version__
from bundler.builder.assemble import LocalModel
from bundler.builder.hub.fetch import Snapshot
from bundler.builder.hub.store import ModelStore
from bundler.builder.lock import LicenseText
from bundler.builder.model_tree import ModelTree
from bundler.builder.papers import Rehearsed, papers_of
from bundler.builder.recipe_models import ModelSpec
from bundler.core.bundle import open_bundle
from bundler.core.digest import Digest
from bundler.core.errors import BundleError
from bundler.core.kit import TrustPolicy
from bundler.core.report.evidence import KnownBundle, evidence_of_papers
from tests.bundles import make_bundle
from tests.support.locked import COMMIT, license_of, locked_model
from tests.support.report_evidence import MODEL, PASSED, PROVENANCE

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


def known(directory: Path) -> KnownBundle:
    bundle = open_bundle(make_bundle(directory), TrustPolicy())
    return KnownBundle(bundle.manifest, Digest.of(bundle.manifest_bytes), bundle.kit.tar_sum)


def test_what_the_rehearsal_found(tmp_path: Path) -> None:
    bundle = known(tmp_path)
    papers = papers_of([], Rehearsed("full", [MODEL, PASSED], PROVENANCE, bundle))
    assert list(papers) == ["checks.json", "report.html", "report.json"]
    document = json.loads(bytes(papers["checks.json"]))  # type: ignore[arg-type] # as above
    assert document == {
        "rehearsal": "full",
        "checks": [MODEL.to_json(), PASSED.to_json()],
        "written_by": f"bundler {__version__}",
        "bundle": {"name": "service", "version": "1.0.0", "platform": "linux/amd64", "digest": str(bundle.digest)},
        "proved": PROVENANCE.to_json(),
    }
    report = json.loads(bytes(papers["report.json"]))  # type: ignore[arg-type] # as above
    assert report["verdict"]["level"] == "proved"
    assert report["proved"] == PROVENANCE.to_json()


def test_what_was_not_done_has_no_time(tmp_path: Path) -> None:
    """So that a build without a rehearsal gives the same kit again."""
    papers = papers_of([], Rehearsed("off", (), None, known(tmp_path)))
    document = json.loads(bytes(papers["checks.json"]))  # type: ignore[arg-type] # as above
    assert (document["rehearsal"], document["checks"]) == ("off", [])
    assert "proved" not in document
    assert b"Nothing was proved" in bytes(papers["report.html"])  # type: ignore[arg-type] # as above


def test_papers_of_before_are_read(tmp_path: Path) -> None:
    found = evidence_of_papers(b'{"checks":[],"rehearsal":"off"}', known(tmp_path), "papers")
    assert (found.mode, found.results, found.provenance) == ("off", (), None)


def test_papers_of_another_bundle_are_refused(tmp_path: Path) -> None:
    bundle = known(tmp_path)
    other = dataclasses.replace(bundle, digest=Digest.of(b"another"))
    checks = papers_of([], Rehearsed("full", [PASSED], PROVENANCE, other))["checks.json"]
    with pytest.raises(BundleError, match=r"the papers of another bundle, service 1\.0\.0"):
        evidence_of_papers(bytes(checks), bundle, "papers")  # type: ignore[arg-type] # as above


@pytest.mark.parametrize("content", [b"", b"[]", b'{"rehearsal":"well","checks":[]}', b'{"rehearsal":"off"}'])
def test_what_are_no_papers_is_refused(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(BundleError):
        evidence_of_papers(content, known(tmp_path), "papers")
