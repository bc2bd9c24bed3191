"""The one family of errors: what happened, where, and what to do next; each kind has its documented exit code.

The core raises, the command line prints: nothing below ``bundler.cli`` writes to the terminal. The codes are
part of the interface and are listed in ``docs/exit-codes.md``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, Optional

from bundler.core.printable import printable

#: How a thing that was compared differs from what it should be.
Difference = Literal["missing", "extra", "changed"]
MISSING: Final = "missing"
EXTRA: Final = "extra"
CHANGED: Final = "changed"

#: Where an exception of somebody else keeps the problems that are told with it.
_CARRIED = "bundler_problems"


@dataclass(frozen=True)
class Problem:
    """One finding of many: where it stands, what is wrong, and what would be right; ``difference`` of a comparison."""

    where: str
    what: str
    remedy: str = ""
    difference: Optional[Difference] = None

    def __str__(self) -> str:
        told = f"{printable(self.where, keep='')}: {printable(self.what)}"
        return f"{told} ({printable(self.remedy)})" if self.remedy else told


class BundlerError(Exception):
    """Something failed that a person can act on.

    ``what`` is a sentence, ``where`` a path, an address or a step, ``remedy`` the next thing to do.
    ``problems`` holds every finding where a step looks for all of them before it stops; ``difference`` is how
    the thing at ``where`` differs from what it should be, for whoever goes on and makes a finding of the error.
    """

    exit_code = 1

    def __init__(
        self,
        what: str,
        *,
        where: str,
        remedy: str,
        problems: Sequence[Problem] = (),
        difference: Optional[Difference] = None,
    ) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.remedy = remedy
        self.problems = tuple(problems)
        self.difference = difference

    def as_problems(self) -> tuple[Problem, ...]:
        """Every finding; the error itself where it has none."""
        return self.problems or (Problem(self.where, self.what, self.remedy, self.difference),)

    def __str__(self) -> str:
        lines = [printable(self.what), f"where: {printable(self.where, keep='')}", f"do: {printable(self.remedy)}"]
        return "\n".join([*lines[:1], *(f"  {problem}" for problem in self.problems), *lines[1:]])


def add_problems(error: BaseException, problems: Sequence[Problem]) -> None:
    """Say ``problems`` with ``error``, whatever ends a run: an interruption and a defect carry them too."""
    if isinstance(error, BundlerError):
        error.problems = (*error.problems, *problems)
    else:
        vars(error)[_CARRIED] = (*problems_of(error), *problems)


def problems_of(error: BaseException) -> tuple[Problem, ...]:
    """What ``error`` carries."""
    return error.problems if isinstance(error, BundlerError) else tuple(vars(error).get(_CARRIED, ()))


class UsageError(BundlerError):
    """The command line asks for something that does not exist or does not go together."""

    exit_code = 2


class RecipeError(BundlerError):
    """A recipe or its lock is invalid, or the two disagree."""

    exit_code = 3


class DownloadError(BundlerError):
    """A model could not be brought here; names the model, the file and the number of tries."""

    exit_code = 4


class BuildError(BundlerError):
    """An image could not be built, or cannot be composed without hiding a model."""

    exit_code = 5


class BundleError(BundlerError):
    """A bundle is damaged, malformed or of a newer format."""

    exit_code = 6


class SignatureError(BundlerError):
    """A signature is missing, wrong or cannot be checked."""

    exit_code = 7


class EngineError(BundlerError):
    """An engine or registry answers wrongly or not at all, is too old, or is for another platform."""

    exit_code = 8


class CheckError(BundlerError):
    """A check, an audit or the linter found something."""

    exit_code = 9


class PreconditionError(BundlerError):
    """Space, a permission, a part of the bundle or an accepted licence is missing, or another run holds the lock."""

    exit_code = 10


class InterruptedRun(BundlerError):  # noqa: N818 - nothing is wrong with a run that a person stopped
    """A person or the system stopped the run; ``signal_number`` decides between 130 and 143."""

    def __init__(self, what: str, *, where: str, remedy: str, signal_number: int) -> None:
        super().__init__(what, where=where, remedy=remedy)
        self.exit_code = 128 + signal_number
