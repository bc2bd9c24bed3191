"""In which order a model is looked for, and what is told when nobody has it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundler.builder.hub.retry import TransientError
from bundler.builder.hub.source import Located
from bundler.builder.hub.sources.endpoints import HUB, Endpoint
from bundler.builder.hub.sources.order import SourceSettings, resolve_first, sources_of
from bundler.builder.lock import LockedFile, LockedModel
from bundler.builder.recipe_models import ModelSpec
from bundler.core.errors import DownloadError
from tests.support.locked import locked_model
from tests.support.model_repo import wanted

A, B = "https://a.example", "https://b.example"


def names(spec: ModelSpec, tmp_path: Path, **settings: object) -> list[str]:
    return [source.name for source in sources_of(spec, SourceSettings(cache=tmp_path, **settings))]  # type: ignore[arg-type]


def test_the_hub_where_nothing_is_said(tmp_path: Path) -> None:
    assert names(wanted(), tmp_path) == [HUB]


def test_the_recipes_order(tmp_path: Path) -> None:
    urls = {"urls": [{"path": "a", "url": f"{B}/a", "sha256": "0" * 64}]}
    spec = wanted(sources=[{"endpoint": A}, "hub", {"git": f"{B}/x.git"}, {"directory": "models"}, urls])
    assert names(spec, tmp_path, recipe_directory=Path("/r")) == [
        A,
        HUB,
        f"{B}/x.git",
        "/r/models",
        "addresses at b.example",
    ]


def test_several_endpoints_of_the_environment_stand_where_the_hub_is_named(tmp_path: Path) -> None:
    spec = wanted(sources=[{"directory": "/models"}, "hub"])
    assert names(spec, tmp_path, endpoints=(Endpoint(A), Endpoint(B))) == ["/models", A, B]


def test_the_command_line_is_asked_first_and_the_hub_only_if_it_is_named(tmp_path: Path) -> None:
    spec = wanted(sources=["hub", {"endpoint": B}])
    chosen = {"endpoints": (Endpoint(A), Endpoint(B)), "chosen": True, "directories": (Path("/stick"),)}
    assert names(spec, tmp_path, **chosen) == ["/stick", A, B]
    only = wanted(sources=[{"endpoint": B}])
    assert names(only, tmp_path, endpoints=(Endpoint(A),), chosen=True) == [A, B]


class Told:
    """A source that says one thing."""

    def __init__(self, name: str, told: LockedModel | Exception) -> None:
        self.name = name
        self._told = told

    def resolve(self, _wanted: ModelSpec) -> LockedModel:
        if isinstance(self._told, Exception):
            raise self._told
        return self._told

    def locate(self, model: LockedModel, file: LockedFile) -> Located:
        raise AssertionError("nothing is fetched to resolve")


def refused(what: str) -> DownloadError:
    return DownloadError(what, where="there", remedy="do this")


def test_the_first_that_knows_it_says_so_and_the_others_refusals_are_kept() -> None:
    model = locked_model("tiny")
    found = resolve_first(
        [Told("one", refused("gone")), Told("two", TransientError("busy")), Told("x", model)], wanted()
    )
    assert (found.model, found.source) == (model, "x")
    assert [str(each) for each in found.refusals] == ["one: gone (do this)", "two: busy"]


def test_a_single_source_speaks_for_itself() -> None:
    with pytest.raises(DownloadError, match=r"^gone\n"):
        resolve_first([Told("one", refused("gone"))], wanted())
    with pytest.raises(TransientError, match=r"^busy$"):
        resolve_first([Told("one", TransientError("busy", 7))], wanted())


def test_all_refusals_at_once() -> None:
    with pytest.raises(DownloadError, match="none of its sources") as caught:
        resolve_first([Told("one", refused("gone")), Told("two", refused("gated"))], wanted())
    assert [problem.what for problem in caught.value.problems] == ["gone", "gated"]
    assert caught.value.where == "one, two"


def test_who_may_say_it_another_time_decides_that_there_is_another_time() -> None:
    with pytest.raises(TransientError, match="one: gone; two: busy; three: slow") as caught:
        resolve_first(
            [
                Told("one", refused("gone")),
                Told("two", TransientError("busy", 9)),
                Told("three", TransientError("slow", 3)),
            ],
            wanted(),
        )
    assert caught.value.retry_after_s == 3
