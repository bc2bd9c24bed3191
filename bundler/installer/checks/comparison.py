"""How far a JSON value is from a recorded one: numbers by their distance, everything else by being the same."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Optional

_SHOWN = 40


@dataclass(frozen=True)
class Deviation:
    """The largest difference: infinite where the values cannot be compared; ``what`` and ``place`` are for people."""

    difference: float
    place: str = ""
    what: str = ""

    @property
    def told(self) -> str:
        """The difference, and where in the value it is."""
        return f"{self.what} at {self.place}" if self.place else self.what


def largest_deviation(recorded: Any, given: Any) -> Deviation:  # noqa: ANN401 - JSON values
    """The deviation of ``given`` that is the largest of all its parts; zero where the two are the same.

    Numbers that are not finite are as far away as other types: a NaN is never what was recorded.
    """
    return max(_deviations(recorded, given), key=lambda each: each.difference, default=Deviation(0.0))


def _deviations(recorded: Any, given: Any) -> Iterator[Deviation]:  # noqa: ANN401
    """Of every leaf; without recursion, since nobody vouches for how deep a value is."""
    waiting: list[tuple[str, Any, Any]] = [("", recorded, given)]
    while waiting:
        place, one, other = waiting.pop()
        if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
            waiting += [(f"{place}[{index}]", *pair) for index, pair in enumerate(zip(one, other))]
        elif isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
            waiting += [(f"{place}.{key[:_SHOWN]}", one[key], other[key]) for key in one]
        elif (distance := _distance(one, other)) is not None:
            yield Deviation(distance, place, f"{distance:.3g} off ({_shown(other)}, recorded {_shown(one)})")
        elif type(one) is not type(other) or one != other:
            yield Deviation(math.inf, place, f"{_shown(other)} in the place of {_shown(one)}")


def _distance(one: Any, other: Any) -> Optional[float]:  # noqa: ANN401
    """Between two numbers; None where one of the two is none."""
    if not (_is_number(one) and _is_number(other)):
        return None
    try:
        distance = abs(float(one) - float(other))
    except OverflowError:  # an integer beyond what a float holds
        return 0.0 if one == other else math.inf
    return distance if math.isfinite(distance) else math.inf


def _is_number(value: Any) -> bool:  # noqa: ANN401
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _shown(value: Any) -> str:  # noqa: ANN401
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return f"an object of {', '.join(sorted(value))[:_SHOWN] or 'nothing'}"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 64:
        return "a large integer"
    text = json.dumps(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
