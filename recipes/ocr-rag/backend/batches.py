"""What the commands for golden outputs are given: a JSON list of batches, each a list of inputs."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from backend.errors import ServiceError


def read_texts(argument: str) -> list[list[str]]:
    """Lists of texts, none of them empty. Raises ServiceError for anything else."""
    return _read(argument, "texts", lambda each: isinstance(each, str))


def read_pairs(argument: str) -> list[list[tuple[str, str]]]:
    """Lists of pairs ``[query, passage]``, none of them empty. Raises ServiceError for anything else."""

    def is_pair(each: object) -> bool:
        return isinstance(each, list) and len(each) == 2 and all(isinstance(text, str) for text in each)

    return [[(query, passage) for query, passage in batch] for batch in _read(argument, "pairs of texts", is_pair)]


def _read(argument: str, what: str, fits: Callable[[object], bool]) -> list[list[Any]]:
    try:
        batches = json.loads(argument)
    except ValueError as error:
        raise ServiceError(f"the batches are not JSON: {error}") from error
    if not isinstance(batches, list) or not all(
        isinstance(batch, list) and batch and all(fits(each) for each in batch) for batch in batches
    ):
        raise ServiceError(f"the batches have to be a JSON list of lists of {what}, none of them empty")
    return batches
