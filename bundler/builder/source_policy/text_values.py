"""Texts that Python code puts together: f-strings, ``+``, ``%``, ``/`` of paths; a hole where a part is not known."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterator, Sequence
from typing import Protocol

from bundler.builder.source_policy.values import HOLE, as_path, join_paths

_MOST = 16
_PERCENT = re.compile(r"%(?:\(\w+\))?[-#0 +]*\d*(?:\.\d+)?[sdirf]")


class Texts(Protocol):
    """Who knows the texts that an expression may be."""

    def texts(self, expr: ast.expr) -> list[str]:
        """The texts, a hole for what is not known."""


def formatted(expr: ast.JoinedStr, known: Texts) -> Iterator[str]:
    """The texts of an f-string."""
    parts = [
        [str(part.value)] if isinstance(part, ast.Constant) else known.texts(part.value)
        for part in expr.values
        if isinstance(part, (ast.Constant, ast.FormattedValue))
    ]
    yield from ("".join(each) for each in combinations(parts))


def joined(expr: ast.BinOp, known: Texts) -> Iterator[str]:
    """The texts of ``a + b``, ``path / part`` and ``"…%s" % x``."""
    if isinstance(expr.op, ast.Mod):
        yield from (_PERCENT.sub(HOLE, text) for text in known.texts(expr.left))
        return
    for left, right in combinations([known.texts(expr.left), known.texts(expr.right)]):
        if isinstance(expr.op, ast.Add):
            yield left + right
        elif isinstance(expr.op, ast.Div):
            yield as_path(join_paths([left, right]))
        else:
            yield HOLE


def combinations(parts: Sequence[Sequence[str]]) -> Iterator[tuple[str, ...]]:
    """Every way to choose one text for each part, up to a limit."""
    yield from itertools.islice(itertools.product(*parts), _MOST)
