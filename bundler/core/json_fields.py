"""Typed reading of untrusted JSON objects: each value is what the format says, or a BundleError names the key."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Optional

from bundler.core.digest import Digest
from bundler.core.errors import BundleError
from bundler.core.reference import Reference

#: No blob, file or layer is larger (bytes): 2^63 - 1 is what tar readers and file systems count with.
MAX_SIZE = (1 << 63) - 1


class Fields:
    """One JSON object whose values are read by type; ``where`` names it in messages."""

    def __init__(self, value: Mapping[str, Any], where: str) -> None:
        self._value = value
        self.where = where

    def refused(self, key: str, why: str) -> BundleError:
        """The error that says why ``key`` is not acceptable."""
        return BundleError(
            f"{key}: {why}",
            where=self.where,
            remedy="the file is damaged or was not made by bundler: bring it here again",
        )

    def _typed(self, key: str, kind: type, name: str) -> Any:  # noqa: ANN401 - the callers narrow it
        value = self._value.get(key)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise self.refused(key, f"should be {name}")
        return value

    def text(self, key: str, pattern: Optional[re.Pattern[str]] = None) -> str:
        """A string, matched as a whole by ``pattern`` where one is given."""
        value: str = self._typed(key, str, "a string")
        if pattern and not pattern.fullmatch(value):
            raise self.refused(key, f"{value!r} is not of the form {pattern.pattern}")
        return value

    def optional_text(self, key: str, pattern: Optional[re.Pattern[str]] = None) -> Optional[str]:
        """A string, matched as a whole by ``pattern`` where one is given, or None where the key is absent or null."""
        return None if self._value.get(key) is None else self.text(key, pattern)

    def choice(self, key: str, choices: Sequence[str]) -> str:
        """One of ``choices``."""
        value = self.text(key)
        if value not in choices:
            raise self.refused(key, f"{value!r} is not one of {', '.join(choices)}")
        return value

    def optional_choice(self, key: str, choices: Sequence[str]) -> Optional[str]:
        """One of ``choices``, or None where the key is absent or null."""
        return None if self._value.get(key) is None else self.choice(key, choices)

    def integer(self, key: str) -> int:
        """An integer."""
        value: int = self._typed(key, int, "an integer")
        return value

    def optional_integer(self, key: str) -> Optional[int]:
        """An integer, or None where the key is absent or null."""
        return None if self._value.get(key) is None else self.integer(key)

    def optional_object(self, key: str) -> Optional[Fields]:
        """An object, or None where the key is absent or null."""
        if self._value.get(key) is None:
            return None
        return self.object(key)

    def object(self, key: str) -> Fields:
        """An object."""
        return Fields(self._typed(key, dict, "an object"), f"{self.where} {key}")

    def flag(self, key: str) -> bool:
        """True or false."""
        value: bool = self._typed(key, bool, "true or false")
        return value

    def optional_flag(self, key: str) -> Optional[bool]:
        """True or false, or None where the key is absent or null."""
        return None if self._value.get(key) is None else self.flag(key)

    def size(self, key: str) -> int:
        """A number of bytes."""
        value = self.integer(key)
        if not 0 <= value <= MAX_SIZE:
            raise self.refused(key, f"{value} is not a number of bytes")
        return value

    def seconds(self, key: str) -> float:
        """A positive, finite number of seconds."""
        value = self.duration(key)
        if value <= 0:
            raise self.refused(key, "should be a positive number of seconds")
        return value

    def duration(self, key: str) -> float:
        """A finite number of seconds, zero among them."""
        value = _finite(self._value.get(key))
        if value is None or value < 0:
            raise self.refused(key, "should be a positive number of seconds")
        return value

    def digest(self, key: str) -> Digest:
        """A digest of the form ``sha256:<hex>``."""
        try:
            return Digest.parse(self.text(key))
        except ValueError as error:
            raise self.refused(key, str(error)) from error

    def bare_digest(self, key: str) -> Digest:
        """A digest given as 64 hexadecimal digits alone."""
        try:
            return Digest(self.text(key))
        except ValueError as error:
            raise self.refused(key, str(error)) from error

    def reference(self, key: str) -> Reference:
        """A fully qualified image reference."""
        text = self.text(key)
        try:
            reference = Reference.parse(text)
        except ValueError as error:
            raise self.refused(key, str(error)) from error
        if str(reference) != text:
            raise self.refused(key, f"{text!r} is not fully qualified; {reference} is")
        return reference

    def objects(self, key: str) -> list[Fields]:
        """A list of objects."""
        items: list[Any] = self._typed(key, list, "a list")
        for number, item in enumerate(items):
            if not isinstance(item, dict):
                raise self.refused(f"{key}[{number}]", "should be an object")
        return [Fields(item, f"{self.where} {key}[{number}]") for number, item in enumerate(items)]

    def optional_objects(self, key: str) -> Optional[list[Fields]]:
        """A list of objects, or None where the key is absent or null."""
        return None if self._value.get(key) is None else self.objects(key)

    def values(self, key: str) -> list[Any]:
        """A list of JSON values of whatever kind."""
        items: list[Any] = self._typed(key, list, "a list")
        return items

    def optional_texts(self, key: str) -> Optional[list[str]]:
        """A list of strings, or None where the key is absent or null."""
        return None if self._value.get(key) is None else self.texts(key)

    def texts(self, key: str) -> list[str]:
        """A list of strings."""
        items: list[Any] = self._typed(key, list, "a list")
        if not all(isinstance(item, str) for item in items):
            raise self.refused(key, "should be a list of strings")
        return items

    def texts_by_key(self, key: str) -> dict[str, str]:
        """An object whose values are strings."""
        items: dict[str, Any] = self._typed(key, dict, "an object")
        if not all(isinstance(item, str) for item in items.values()):
            raise self.refused(key, "should be an object of strings")
        return items

    def numbers_by_key(self, key: str) -> dict[str, float]:
        """An object whose values are finite numbers; empty where the key is absent or null."""
        items = self._typed(key, dict, "an object") if self._value.get(key) is not None else {}
        numbers = {name: number for name, value in items.items() if (number := _finite(value)) is not None}
        if len(numbers) != len(items):
            raise self.refused(key, "should be an object of numbers")
        return numbers


def _finite(value: object) -> Optional[float]:
    """A number that a float holds; None for anything else, JSON's endless integers among it."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
