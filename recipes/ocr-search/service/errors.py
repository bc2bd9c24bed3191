"""What stops the service at its start. The message says what to do; the programs print it and end with code 1."""

from __future__ import annotations

import sys
from collections.abc import Callable


class ServiceError(Exception):
    """The service cannot run as it was built or configured."""


class ModelError(ServiceError):
    """A model directory is missing, partial or not the model that this code can run."""

    def __init__(self, path: object, problem: str) -> None:
        super().__init__(
            f"model at {path}: {problem}\n"
            "The models are part of the image and are never downloaded: build the image again with `bundler build`,\n"
            "or, for a try outside of it, set MINILM_DIR and PPOCR_DIR to directories with the whole models."
        )


def run(program: Callable[[], int]) -> None:
    """End the process with the program's code, or with 1 and the message of a ServiceError."""
    try:
        code = program()
    except ServiceError as error:
        print(f"error: {error}", file=sys.stderr)
        code = 1
    sys.exit(code)
