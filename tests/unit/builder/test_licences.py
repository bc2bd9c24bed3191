"""Licences with conditions: which need somebody's word, what is typed for them, and how the word is kept."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from bundler.builder.licences import CONDITIONS, OPEN, conditions, licence_id, require_accepted, with_acceptance
from bundler.builder.lock import LicenseText, LockedFile, LockedLicense, LockedModel
from bundler.core.errors import PreconditionError


def text(path: str = "LICENSE", content: str = "terms") -> LicenseText:
    return LicenseText(path=path, sha256=hashlib.sha256(content.encode()).hexdigest(), text=content)


def license(id: str | None = None, **values: Any) -> LockedLicense:
    return LockedLicense(
        **{"id": id, "name": None, "link": None, "gated": False, "texts": (), "accepted": None, **values}
    )


def model(licence: LockedLicense, name: str = "one") -> LockedModel:
    return LockedModel(
        name=name,
        repo_id=f"acme/{name}",
        canonical_id=f"acme/{name}",
        revision="main",
        commit="a1" * 20,
        include=(),
        exclude=(),
        license=licence,
        library=None,
        has_safetensors=True,
        files=(LockedFile(path="a", size=1, sha256="c" * 64, git_sha1=None),),
    )


@pytest.mark.parametrize(
    ("id", "why"),
    [
        ("cc-by-nc-4.0", "no commercial use"),
        ("cc-by-nc-sa-4.0", "no commercial use"),
        ("CC-BY-NC-ND-4.0", "no commercial use"),
        ("fair-noncommercial-research-license", "no commercial use"),
        ("cc-by-nd-4.0", "no changed version"),
        ("intel-research", "research only"),
        ("apple-amlr", "research only"),
        ("openrail", "purposes"),
        ("openrail++", "purposes"),
        ("creativeml-openrail-m", "purposes"),
        ("bigscience-bloom-rail-1.0", "purposes"),
        ("llama2", "Meta"),
        ("llama3.2", "Meta"),
        ("llama4", "Meta"),
        ("gemma", "Google"),
        ("cc", "which"),
        ("somebodys-own-1.0", "maker's own"),
    ],
)
def test_licences_with_conditions(id: str, why: str) -> None:
    assert why in str(conditions(license(id)))


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("sarashina-non-commercial-license", "no commercial use"),
        ("Sarashina Model NonCommercial License", "no commercial use"),
        ("llama-3.2-community-license", "Meta"),
        ("nvidia-open-model-license", "NVIDIA"),
        ("deepseek", "DeepSeek"),
        ("tongyi-qianwen-research", "research"),
        ("qwen-research", "research"),
        ("acme-terms", "maker's own"),
        (None, "maker's own"),
    ],
)
def test_custom_terms_go_by_their_name(name: str | None, why: str) -> None:
    terms = license("other", name=name)
    assert why in str(conditions(terms))
    assert licence_id(model(terms)) == (name or "other:acme/one")


@pytest.mark.parametrize("id", [*sorted(OPEN), "Apache-2.0", "unknown", None])
def test_licences_that_nobody_needs_to_accept(id: str | None) -> None:
    assert conditions(license(id)) is None
    require_accepted([with_acceptance(model(license(id)), [], [])])


def test_a_card_may_name_several() -> None:
    assert conditions(license("mit, apache-2.0")) is None
    assert conditions(license("mit, cc-by-nc-4.0")) == "no commercial use"
    assert licence_id(model(license("mit, cc-by-nc-4.0"))) == "mit, cc-by-nc-4.0"


def test_the_lists_do_not_contradict_each_other() -> None:
    import re

    assert [(id, why) for id in sorted(OPEN) for pattern, why in CONDITIONS if re.fullmatch(pattern, id)] == []


def test_a_gated_repo_wants_a_word_whatever_its_licence() -> None:
    gated = model(license("apache-2.0", gated=True))
    assert "gated" in str(conditions(gated.license))
    assert licence_id(gated) == "gated:acme/one"
    assert licence_id(model(license(None, gated=True))) == "gated:acme/one"
    both = model(license("llama3.2", gated=True))
    assert "Meta" in str(conditions(both.license)) and "gated" in str(conditions(both.license))
    assert licence_id(both) == "llama3.2"


def test_all_models_are_asked_for_at_once() -> None:
    nc = license("cc-by-nc-4.0", texts=(text("LICENSE"), text("USE_POLICY.md")))
    own = license("other", name="Own Terms", link="https://acme.example/terms")
    gated = license(None, gated=True)
    models = [
        model(nc, "one"),
        model(license("mit"), "two"),
        model(own, "three"),
        model(gated, "four"),
        model(nc, "five"),
    ]
    with pytest.raises(PreconditionError, match="3 licences have conditions") as caught:
        require_accepted(models)
    error = caught.value
    assert error.exit_code == 10
    assert [str(each) for each in error.problems] == [
        f"model one, acme/one@{'a1' * 20}: licence cc-by-nc-4.0: no commercial use (stated in LICENSE, USE_POLICY.md)",
        f"model three, acme/three@{'a1' * 20}: licence Own Terms: terms of its maker's own "
        "(stated in https://acme.example/terms)",
        f"model four, acme/four@{'a1' * 20}: licence gated:acme/four: the repo is gated: the Hub asks whoever downloads "
        "it to agree first (stated in the card of acme/four)",
        f"model five, acme/five@{'a1' * 20}: licence cc-by-nc-4.0: no commercial use (stated in LICENSE, USE_POLICY.md)",
    ]
    assert "--accept-licence cc-by-nc-4.0 --accept-licence 'Own Terms' --accept-licence gated:acme/four" in error.remedy
    assert '`accept_licences: ["cc-by-nc-4.0", "Own Terms", "gated:acme/four"]`' in error.remedy


@pytest.mark.parametrize("typed", ["cc-by-nc-4.0", "CC-BY-NC-4.0", " cc-by-nc-4.0 "])
def test_a_word_is_recorded_with_its_place(typed: str) -> None:
    asked = model(license("cc-by-nc-4.0"))
    assert with_acceptance(asked, [typed], []).license.accepted == "recipe"
    assert with_acceptance(asked, [], [typed]).license.accepted == "command line"
    assert with_acceptance(asked, [typed], [typed]).license.accepted == "recipe"
    assert with_acceptance(asked, ["cc-by-nc"], ["mit"]).license.accepted is None
    require_accepted([with_acceptance(asked, [], [typed])])


def test_a_word_for_what_needs_none_is_not_recorded() -> None:
    assert with_acceptance(model(license("mit")), ["mit"], ["mit"]).license.accepted is None


def test_it_is_asked_once() -> None:
    asked = model(license("cc-by-nc-4.0", texts=(text(),)))
    accepted = with_acceptance(asked, [], ["cc-by-nc-4.0"])
    assert with_acceptance(accepted, [], []) == accepted  # of the lock that it was recorded in
    assert with_acceptance(asked, [], [], accepted).license.accepted == "command line"  # of the lock before


@pytest.mark.parametrize(
    "changed",
    [{"texts": ()}, {"texts": (text(content="other terms"),)}, {"link": "https://x.example"}, {"gated": True}],
)
def test_other_terms_are_asked_for_again(changed: dict[str, Any]) -> None:
    accepted = model(license("cc-by-nc-4.0", texts=(text(),), accepted="command line"))
    terms = license("cc-by-nc-4.0", **{"texts": (text(),), **changed})
    assert with_acceptance(model(terms), [], [], accepted).license.accepted is None


def test_the_recipes_word_counts_while_it_stands_there() -> None:
    accepted = model(license("cc-by-nc-4.0", accepted="recipe"))
    assert with_acceptance(accepted, [], []).license.accepted is None
    assert with_acceptance(accepted, ["cc-by-nc-4.0"], []).license.accepted == "recipe"
