"""The recipe's checks as a bundle carries them."""

from __future__ import annotations

from typing import Any

from bundler.builder.golden_file import read_golden
from bundler.builder.recipe import Recipe
from bundler.builder.recipe_checks import (
    DEFAULT_BUDGET_S,
    DEFAULT_WITHIN_S,
    CheckSpec,
    GoldenSpec,
    LoadBudgetSpec,
    RunCheckSpec,
    ServeCheckSpec,
)
from bundler.builder.recipe_types import SHELL
from bundler.core.checks import AnyCheck, GoldenCheck, LoadBudgetCheck, Peer, RunCheck, ServeCheck
from bundler.core.reference import Reference

#: A load that takes longer than its budget is measured, up to so many times the budget.
_BUDGETS_WAITED = 3


def describe_checks(recipe: Recipe) -> tuple[AnyCheck, ...]:
    """Each check with the image that it runs in; raises RecipeError where a file of recorded outputs has changed."""
    return tuple(_describe(recipe, check) for check in recipe.checks)


def _describe(recipe: Recipe, check: CheckSpec) -> AnyCheck:
    if isinstance(check, ServeCheckSpec):
        return _serve(recipe, check)
    common = _common(recipe, check)
    if isinstance(check, LoadBudgetSpec):
        budget_s = check.budget_s or DEFAULT_BUDGET_S
        within_s = max(DEFAULT_WITHIN_S, _BUDGETS_WAITED * budget_s)
        return LoadBudgetCheck(**common, within_s=within_s, budget_s=budget_s)
    if isinstance(check, GoldenSpec):
        golden = read_golden(recipe.path_of(check.golden))
        common["run"] = _taking_an_argument(check.run)
        return GoldenCheck(**common, within_s=check.within_s, golden=golden, tolerance=check.tolerance)
    return RunCheck(**common, within_s=check.within_s, expect=check.expect, forbid=check.forbid)


def _taking_an_argument(command: tuple[str, ...]) -> tuple[str, ...]:
    """A shell line finds the argument that is added in ``$1``, behind the shell's own name (POSIX, ``sh -c``)."""
    shell = command[:2] == SHELL and len(command) == len(SHELL) + 1
    return (*command, SHELL[0]) if shell else command


def _serve(recipe: Recipe, check: ServeCheckSpec) -> ServeCheck:
    return ServeCheck(
        **_common(recipe, check),
        within_s=check.within_s,
        port=check.port,
        question=check.question,
        status=check.status,
        expect=check.expect,
        forbid=check.forbid,
        watch_s=check.watch_s or 0.0,
    )


def _common(recipe: Recipe, check: RunCheckSpec | ServeCheckSpec | LoadBudgetSpec | GoldenSpec) -> dict[str, Any]:
    return {
        "name": check.name,
        "image": check.image or _first_image(recipe),
        "run": tuple(check.run or ()),
        "user": check.user,
        "env": dict(check.env),
        "allow": tuple(Peer.parse(text) for text in check.allow),
        "needs_gpu": check.needs_gpu,
    }


def _first_image(recipe: Recipe) -> Reference:
    return recipe.apps[0].tag if recipe.apps else recipe.base.tag
