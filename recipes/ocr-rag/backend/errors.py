"""What stops the service at its start. The message says what to do; the programs print it and end with code 1."""

from __future__ import annotations

import sys
from collections.abc import Callable


class ServiceError(Exception):
    """The service cannot run as it was built, configured or called."""


class ModelError(ServiceError):
    """A model is missing, partial, altered, or does not compute what it was trained for."""

    def __init__(self, path: object, problem: str) -> None:
        self.path, self.problem = path, problem
        super().__init__(
            f"model at {path}: {problem}\n"
            "Models are part of the base image and are never downloaded: build it again with `./dev.sh rebuild base`."
        )


def run(program: Callable[[], int]) -> None:
    """End the process with the program's code, or with 1 and the message of a ServiceError."""
    try:
        code = program()
    except ServiceError as error:
        print(f"error: {error}", file=sys.stderr)
        code = 1
    sys.exit(code)
