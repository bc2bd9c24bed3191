"""The Python modules among the paths, so that a constant is followed into the module that it is imported from."""

from __future__ import annotations

from collections.abc import Iterable

from bundler.builder.source_policy.bindings import Module


class Project:
    """Modules by their last name; the nearest to who asks wins where several are called the same."""

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        self._by_name: dict[str, list[Module]] = {}
        for module in modules:
            if module.parts:
                self._by_name.setdefault(module.parts[-1], []).append(module)

    def find(self, dotted: str, asked_by: Module) -> Module | None:
        """The module whose path ends with ``dotted``, or None: it is not among the paths."""
        wanted = tuple(dotted.split("."))
        fitting = [each for each in self._by_name.get(wanted[-1], ()) if each.parts[-len(wanted) :] == wanted]
        return max(fitting, key=lambda each: _shared(each.parts, asked_by.parts), default=None)


def _shared(one: tuple[str, ...], other: tuple[str, ...]) -> int:
    """How many parts from the left are the same."""
    count = 0
    for left, right in zip(one, other):
        if left != right:
            break
        count += 1
    return count
