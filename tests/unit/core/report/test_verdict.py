"""The headline says no more than the evidence does, and what is left open is listed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from bundler.core.check_result import CheckResult
from bundler.core.checks import AnyCheck, Golden, GoldenCheck, RunCheck, ServeCheck
from bundler.core.report.evidence import MOUNTED, OFF, Evidence
from bundler.core.report.unproved import gaps_of
from bundler.core.report.verdict import FAILED as FAILING
from bundler.core.report.verdict import NOTHING, PARTLY, PROVED, counts_of, verdict_of
from tests.support.report_evidence import FAILED, MODEL, NO_GPU, PASSED, WEAK, evidence

Made = Callable[..., Evidence]


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return lambda *results, **options: evidence(tmp_path, *results, **options)


@pytest.mark.parametrize(
    ("results", "level", "headline"),
    [
        ((MODEL, PASSED), PROVED, "Proved: 2 of 2 checks passed, and nothing tried to call out"),
        ((PASSED,), PROVED, "Proved: 1 of 1 check passed, and nothing tried to call out"),
        (
            (MODEL, PASSED, FAILED),
            FAILING,
            "Failed: 1 of 3 checks did not pass, and 2 attempts to call out were seen",
        ),
        (
            (PASSED, NO_GPU),
            PARTLY,
            "Proved in part: 1 of 2 checks passed, but 1 check could not be run on that host",
        ),
        ((PASSED, WEAK), PARTLY, "Proved in part: 2 of 2 checks passed, but nobody could listen to 1 check"),
        (
            (MODEL,),
            PARTLY,
            "Proved in part: 1 of 1 check passed, but no command was run, so whether anything calls out is not known",
        ),
        ((NO_GPU,), NOTHING, "Nothing was proved: 1 check could not be run on that host"),
        ((), NOTHING, "Nothing was proved: no check was run"),
    ],
)
def test_the_headline(made: Made, results: Sequence[CheckResult], level: str, headline: str) -> None:
    verdict = verdict_of(made(*results))
    assert (verdict.level, verdict.headline) == (level, headline)


def test_a_mounted_rehearsal_is_no_full_one(made: Made) -> None:
    verdict = verdict_of(made(PASSED, mode=MOUNTED))
    assert verdict.level == PARTLY
    assert verdict.headline.endswith("but the finished kit was not loaded")


def test_where_and_how_it_was_found(made: Made) -> None:
    assert verdict_of(made(MODEL, PASSED, WEAK)).sentences == (
        "1 check was listened to from the first instruction on, after a packet and a question that were sent on purpose "
        "had been caught.",
        "1 check ran without a network and without a listener: the weaker proof.",
        "Checked on 26 November 2026, 22:41 UTC, in docker 28.5.1 on Debian GNU/Linux 12.",
    )


def test_the_count(made: Made) -> None:
    counts = counts_of(made(MODEL, PASSED, FAILED, WEAK, NO_GPU))
    assert (counts.checks, counts.passed, counts.failed, counts.not_proved) == (5, 3, 1, 1)
    assert (counts.listened, counts.unheard, counts.attempts) == (2, 1, 2)


def open_points(found: Evidence) -> dict[str, str]:
    return {gap.what: gap.why for gap in gaps_of(found)}


def test_what_every_bundle_leaves_open_until_a_check_closes_it(made: Made) -> None:
    assert open_points(made(MODEL, PASSED)) == {
        "The start as in production": "No check of kind serve started and asked bundler-test/service:1.0.0.",
        "That models compute what they should": "No check of kind golden compared outputs with recorded ones: tiny.",
        "Who made the kit": "It carries no signature: checksums show that it is whole, not whose it is.",
    }


def test_what_this_run_left_open(made: Made) -> None:
    found = open_points(made(PASSED, WEAK, NO_GPU, sidecar=True, provenance=None))
    assert found["Check golden"] == "Not proved here: needs a GPU, and there is none."
    assert found["Whether counts tried to call out"].endswith("nobody listened: root's rights are needed to listen, and "
                                                              "this is another user.")  # fmt: skip
    assert found["Images that no check runs"] == "bundler-test/service-sidecar:1.0.0."
    assert found["That the model files stand in the images"]
    assert found["When, and in which engine"]


def test_without_a_rehearsal_all_is_open(made: Made) -> None:
    found = open_points(made(mode=OFF, provenance=None))
    assert found["The kit as a whole"] == "It was not tried where it was built (rehearsal: off)."
    assert found["Checks that were not run"] == "The bundle has them, the results do not: greets."
    assert "When, and in which engine" not in found


def test_a_mounted_rehearsal_leaves_the_finished_images_open(made: Made) -> None:
    assert "The finished images" in open_points(made(PASSED, mode=MOUNTED))


def test_checks_that_passed_close_what_was_open(made: Made) -> None:
    found = made(MODEL, PASSED, sidecar=True)
    _, app, beside = (image.reference for image in found.manifest.images)
    common = {"run": (), "within_s": 1.0, "user": None, "env": {}, "allow": (), "needs_gpu": False}
    patterns = {"expect": (), "forbid": ()}
    golden = Golden("tiny", None, {}, "the card's example", (1, 2), (1, 2))
    checks: tuple[AnyCheck, ...] = (
        *found.manifest.checks,
        ServeCheck("serves", app, **common, **patterns, port=80, question=None, status=200, watch_s=0.0),  # type: ignore[arg-type]  # by their names
        GoldenCheck("golden", app, **common, golden=golden, tolerance=0.1),  # type: ignore[arg-type]  # as above
        RunCheck("beside", beside, **common, **patterns),  # type: ignore[arg-type]  # as above
    )
    named = {name: dataclasses.replace(PASSED, name=name) for name in ("serves", "golden", "beside")}

    def with_results(*results: CheckResult) -> dict[str, str]:
        manifest = dataclasses.replace(found.manifest, checks=checks)
        bundle = dataclasses.replace(found.bundle, manifest=manifest)
        return open_points(dataclasses.replace(found, bundle=bundle, results=(MODEL, PASSED, *results)))

    assert list(with_results(*named.values())) == ["Who made the kit"]
    without = with_results(named["beside"], NO_GPU, dataclasses.replace(FAILED, name="serves"))
    assert {"The start as in production", "That models compute what they should"} <= set(without)
