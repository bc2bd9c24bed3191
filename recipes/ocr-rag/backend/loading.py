"""What all loads share: the device, the precision, and one load after the other.

transformers changes settings of the whole process while it makes a model (the default precision, functions of
``torch.nn.init``). Another model that is made at the same moment takes them over without an error, so making them is
serialised here, all three kinds; reading files from the disk is not.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import transformers
from packaging.version import Version

from backend.model_files import LockedModel

_MAKING = threading.Lock()
transformers.utils.logging.disable_progress_bar()  # logs are read by people


@dataclass(frozen=True)
class Loaded:
    """What was loaded, from where, and how long that took in seconds, waiting not counted."""

    name: str
    model: str
    path: str
    seconds: float


class Stopwatch:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._begun = time.monotonic()

    def loaded(self, model: LockedModel, path: object) -> Loaded:
        """The model with the time so far."""
        return Loaded(model.name, model.told, str(path), round(time.monotonic() - self._begun, 3))


@contextmanager
def making() -> Iterator[Stopwatch]:
    """The time in which a model is made; others wait."""
    with _MAKING:
        yield Stopwatch()


def device() -> torch.device:
    """The GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def precision(where: torch.device) -> torch.dtype:
    """float16 on a GPU, float32 on a CPU, which has no fast float16."""
    return torch.float16 if where.type == "cuda" else torch.float32


def as_precision(where: torch.device) -> dict[str, torch.dtype]:
    """The argument of ``from_pretrained`` that says it, by the name that the installed release has for it."""
    name = "dtype" if Version(transformers.__version__) >= Version("4.56") else "torch_dtype"
    return {name: precision(where)}


def tolerance(kind: torch.dtype) -> float:
    """How far two computations of the same numbers may be apart, in parts of the largest."""
    return 1e-2 if kind == torch.float16 else 1e-4
