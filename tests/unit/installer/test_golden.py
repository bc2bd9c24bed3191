"""What a golden check says of what a command printed: numbers, forms, and where they are off."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any, cast

import pytest

from bundler.core.check_result import CheckResult
from bundler.core.checks import Golden, GoldenCheck
from bundler.core.digest import Digest
from bundler.core.egress import TRIPWIRE, NoEgress
from bundler.core.reference import Reference
from bundler.installer.checks.comparison import largest_deviation
from bundler.installer.checks.golden import check_golden
from bundler.installer.checks.scene import Scene
from bundler.installer.engine import Engine, RunResult, RunSpec

IMAGE = Reference.parse("docker.io/library/a:1")
GOLDEN = Golden("m", None, {"w": "0" * 64}, "a test", ("a", "bc"), ([0.1, 0.2], [0.3, 0.4]))
CHECK = GoldenCheck("g", IMAGE, ("embed", "-q"), 5.0, None, {}, (), False, GOLDEN, 0.01)


class Printed:
    """A watch under which the command has printed this."""

    def __init__(self, output: str, exit_code: int | None = 0) -> None:
        self.result = RunResult(exit_code, output, 1.5, 0.0, output)
        self.command: tuple[str, ...] = ()

    def run(self, image_id: Digest, spec: RunSpec) -> tuple[RunResult, NoEgress]:
        self.command = spec.command
        return self.result, NoEgress(TRIPWIRE)


def checked(output: str, check: GoldenCheck = CHECK, exit_code: int | None = 0) -> CheckResult:
    scene = Scene(cast("Engine", None), Printed(output, exit_code), Digest.of(b""), RunSpec((), 0.0))
    return check_golden(check, scene)


def answer(*batches: Any) -> str:
    return json.dumps(batches)


RIGHT = ([[0.1, 0.2]], [[0.3, 0.4]], [[0.1, 0.2], [0.3, 0.4]])


def test_the_command_gets_each_input_alone_and_then_all_in_one_batch() -> None:
    watch = Printed(answer(*RIGHT))
    check_golden(CHECK, Scene(cast("Engine", None), watch, Digest.of(b""), RunSpec((), 0.0)))
    assert watch.command == ("embed", "-q", '[["a"],["bc"],["a","bc"]]')


def test_right_outputs_pass_with_the_largest_difference() -> None:
    near = ([[0.1, 0.2]], [[0.3, 0.405]], [[0.1, 0.2], [0.3, 0.4]])
    result = checked(answer(*near))
    assert result.passed
    assert result.measured == {"largest_difference": pytest.approx(0.005)}
    assert (
        result.detail
        == "2 outputs, alone and in one batch, are those that were recorded: the largest difference is 0.005, 0.01 is tolerated"
    )


def test_what_is_wrong_alone_and_together_is_told_for_both() -> None:
    result = checked(answer([[0.1, 0.5]], [[0.3, 0.4]], [[0.1, 0.2], [9.3, 0.4]]))
    assert result.detail == (
        'alone, 1 of 2 outputs are not those that were recorded (tolerance 0.01), most of all for input 1, "a": '
        "0.3 off (0.5, recorded 0.2) at [1]; in a batch of 2, 1 of 2 outputs are not those that were recorded "
        '(tolerance 0.01), most of all for input 2, "bc": 9 off (9.3, recorded 0.3) at [0]'
    )
    assert result.measured == {"largest_difference": pytest.approx(9.0)}


def test_what_is_wrong_in_the_batch_alone_points_at_the_padding() -> None:
    result = checked(answer([[0.1, 0.2]], [[0.3, 0.4]], [[0.15, 0.2], [0.3, 0.4]]))
    assert result.detail.startswith("in a batch of 2, 1 of 2 outputs are not")
    assert result.detail.endswith("right alone and wrong in a padded batch: look at what becomes of the padding")


def test_the_batch_must_keep_the_order() -> None:
    assert not checked(answer([[0.1, 0.2]], [[0.3, 0.4]], [[0.3, 0.4], [0.1, 0.2]])).passed


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999", '"0.1"', "null", "true", "[0.1]", "{}"])
def test_what_is_no_finite_number_is_never_the_recorded_one(value: str) -> None:
    endless = replace(CHECK, tolerance=1e308)
    result = checked(f"[[[{value}, 0.2]], [[0.3, 0.4]], [[0.1, 0.2], [0.3, 0.4]]]", endless)
    assert not result.passed
    assert result.measured == {}
    assert "input 1" in result.detail


@pytest.mark.parametrize(
    ("output", "told"),
    [
        ("", "printed no line that is a JSON list of outputs; it printed nothing"),
        ("loading\n[1, 2\n", "printed no line that is a JSON list of outputs; it printed: loading [1, 2"),
        ("[" * 5000 + "]" * 5000, "printed no line that is a JSON list"),
        ('{"a": [1]}', "printed no line that is a JSON list"),
        ("[]", "printed 0 batches, not 3: each of 2 inputs alone, then all in one"),
        (answer(*RIGHT[:2]), "printed 2 batches, not 3"),
        (answer(RIGHT[0], RIGHT[1], [[0.1, 0.2]]), "printed 1 outputs for batch 3, not 2"),
        (answer(RIGHT[0], [], RIGHT[2]), "printed 0 outputs for batch 2, not 1"),
        (answer(RIGHT[0], 7, RIGHT[2]), "printed no list for batch 2, not 1"),
        (answer([[0.1]], RIGHT[1], RIGHT[2]), "a list of 1 in the place of a list of 2"),
        (answer([0.1], RIGHT[1], RIGHT[2]), "0.1 in the place of a list of 2"),
    ],
)
def test_another_form_is_told(output: str, told: str) -> None:
    result = checked(output)
    assert not result.passed
    assert told in result.detail


def test_the_last_list_counts_whatever_stands_around_it() -> None:
    assert checked(f"[1]\nprogress 100%\n\n  {answer(*RIGHT)}  \n\nwarning: bye\n[done]\n").passed
    assert not checked(f"{answer(*RIGHT)}\n[1]").passed


def test_separators_of_lines_inside_strings_are_none() -> None:
    check = replace(CHECK, golden=replace(GOLDEN, outputs=("x\u2028y", "z")))
    assert checked('[["x\u2028y"], ["z"], ["x\u2028y", "z"]]', check).passed


def test_an_end_that_is_none_comes_first() -> None:
    assert checked(answer(*RIGHT), exit_code=3).detail.startswith("ended with code 3; it printed: [[[0.1")
    assert checked(answer(*RIGHT), exit_code=None).detail.startswith("did not end within 5 s")


@pytest.mark.parametrize(
    ("recorded", "given", "difference", "place"),
    [
        (1, 1.0, 0.0, ""),
        ([1, [2, {"a": 3.5}]], [1, [2, {"a": 3}]], 0.5, "[1][1].a"),
        ({"label": "cat", "score": 0.5}, {"score": 0.75, "label": "cat"}, 0.25, ".score"),
        ("cat", "dog", math.inf, ""),
        ("cat", "cat", 0.0, ""),
        (None, None, 0.0, ""),
        (True, 1, math.inf, ""),
        (0, False, math.inf, ""),
        ([1], [1, 2], math.inf, ""),
        ({"a": 1}, {"b": 1}, math.inf, ""),
        (10**400, 10**400, 0.0, ""),
        (10**400, 1.5, math.inf, ""),
        ([], [], 0.0, ""),
    ],
)
def test_the_largest_deviation_has_its_place(recorded: Any, given: Any, difference: float, place: str) -> None:
    found = largest_deviation(recorded, given)
    assert (found.difference, found.place if difference else "") == (difference, place)


def test_depth_is_no_matter() -> None:
    deep: list[Any] = [1.0]
    other: list[Any] = [2.0]
    for _ in range(20_000):
        deep, other = [deep], [other]
    assert largest_deviation(deep, other).difference == 1.0
