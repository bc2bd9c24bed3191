"""Python calls of libraries that download by themselves."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from fnmatch import fnmatchcase

from bundler.builder.source_policy.environment import Surroundings
from bundler.builder.source_policy.evaluation import Evaluator
from bundler.builder.source_policy.findings import Spot
from bundler.builder.source_policy.libraries import (
    FETCHES,
    PRETRAINED,
    Absolute,
    Condition,
    Fetch,
    Packaged,
    Says,
    Set,
)
from bundler.builder.source_policy.names import Called
from bundler.builder.source_policy.rules import FETCHES as RULE
from bundler.builder.source_policy.values import is_absolute, names_a_repo


def fetch_spots(known: Evaluator, surroundings: Surroundings, set_here: frozenset[str]) -> Iterator[Spot]:
    """Every call of the module that downloads where its cache lacks something."""
    judge = _Judge(known, frozenset(surroundings.variables) | set_here)
    for called in known.calls:
        for fetch in FETCHES:
            if _is_called(called, fetch.patterns) and not judge.is_excused(called, fetch):
                what = f"{called.name} downloads what it does not find"
                yield Spot(RULE, called.node.lineno, called.node.col_offset + 1, what, fetch.remedy)
        if _is_called(called, PRETRAINED) and judge.wants_weights(called):
            what = f"{called.name} downloads its pretrained weights"
            remedy = "build it without weights, and load a *.safetensors from its absolute path"
            yield Spot(RULE, called.node.lineno, called.node.col_offset + 1, what, remedy)


def _is_called(called: Called, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(called.name, pattern) for pattern in patterns)


class _Judge:
    """Whether what would excuse a call is known of its arguments."""

    def __init__(self, known: Evaluator, variables: frozenset[str]) -> None:
        self._known = known
        self._variables = variables

    def is_excused(self, called: Called, fetch: Fetch) -> bool:
        groups = (each if isinstance(each, tuple) else (each,) for each in fetch.unless)
        return any(all(self._holds(called, condition) for condition in group) for group in groups)

    def _holds(self, called: Called, condition: Condition) -> bool:
        if isinstance(condition, Says):
            return self._constants(called.keyword(condition.keyword)) == {condition.value}
        if isinstance(condition, Absolute):
            given = called.keyword(condition.keyword)
            return given is not None and all(is_absolute(text) for text in self._known.texts(given))
        if isinstance(condition, Set):
            return condition.variable in self._variables
        if isinstance(condition, Packaged):
            return self._constants(called.argument(condition.index, "path")) <= set(condition.names) and bool(
                called.args
            )
        return self._is_path(called.argument(condition.index, condition.keyword, "model_name_or_path", "model"), called)

    def _is_path(self, given: ast.expr | None, called: Called) -> bool:
        """Nothing that is known of the argument is a name; one that nobody gives has a name for its default."""
        if given is None:
            return called.name.startswith("open_clip.") and not called.has_hidden
        values = self._known.values(given)
        return not any(value.text is not None and (names_a_repo(value.text) or "://" in value.text) for value in values)

    def _constants(self, given: ast.expr | None) -> set[object]:
        """The constants that an argument may be; a set that equals no other where something is not known."""
        if given is None:
            return {_NOTHING}
        return {value.content if value.known else _NOTHING for value in self._known.values(given)}

    def wants_weights(self, called: Called) -> bool:
        """``pretrained=True``, or ``weights=`` that are not None; timm takes its weights from a file beside it too."""
        if called.keyword("checkpoint_path", "pretrained_cfg_overlay") is not None:
            return False
        asked = [given for name in ("pretrained", "weights", "weights_backbone") if (given := called.keyword(name))]
        return any(not self._constants(given) <= {None, False} for given in asked)


_NOTHING = object()
