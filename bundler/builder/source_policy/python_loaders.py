"""Python calls that load a model: by a path and from this host alone, or not."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from bundler.builder.source_policy.environment import Surroundings
from bundler.builder.source_policy.evaluation import Evaluator
from bundler.builder.source_policy.findings import Spot
from bundler.builder.source_policy.libraries import ADAPTERS, LOADERS, WITHOUT_LOCAL_ONLY, Loader
from bundler.builder.source_policy.names import OWN, SOMETHING, Called
from bundler.builder.source_policy.rules import FALLBACK, NO_LOCAL_ONLY, PIPELINE, REPO_ID, UNSAFE, WRITES
from bundler.builder.source_policy.values import HOLE, Value

_PICKLES = (".bin", ".pth", ".pt", ".ckpt", ".pkl")
_PIPELINES = ("transformers.", "optimum.", "pipeline")
_FROM_MODULES = "HF_MODULES_CACHE"


def loader_of(called: Called) -> Loader | None:
    """What is known of the call if it loads a model by a name or path, or None."""
    if called.name == OWN or called.name.startswith((f"{OWN}.", "modelscope.")):
        return None
    if called.last == "from_pretrained" and "Peft" in called.name and "AutoPeft" not in called.name:
        return ADAPTERS
    if called.last == "cached_file" and called.name.startswith(SOMETHING):
        return None
    return LOADERS.get(called.last)


class LoaderRules:
    """The rules for calls that load models, over one module."""

    def __init__(self, known: Evaluator, surroundings: Surroundings, set_here: frozenset[str]) -> None:
        self._known = known
        self._calls = known.calls
        self._loaders = {called.node: called for called in self._calls if loader_of(called) is not None}
        self._has_modules_cache = _FROM_MODULES in surroundings.variables or _FROM_MODULES in set_here

    def spots(self) -> Iterator[Spot]:
        """Everything that is found at such calls."""
        for called in self._calls:
            loader = loader_of(called)
            if loader is not None:
                yield from self._of_loader(called, loader)
            elif called.last == "pipeline" and called.name.startswith(_PIPELINES) and self._is_pipeline(called):
                yield from self._of_pipeline(called)
            elif called.name == "torch.load" and not self._is_constant(called.keyword("weights_only"), True):
                yield _spot(UNSAFE, called.node, "torch.load without weights_only=True")

    def _is_pipeline(self, called: Called) -> bool:
        # A bare name is transformers' own only where nothing but a star import can have brought it.
        return called.name != "pipeline" or any(
            isinstance(node, ast.ImportFrom) and node.module == "transformers" and node.names[0].name == "*"
            for node in self._known.module.nodes
        )

    def _of_loader(self, called: Called, loader: Loader) -> Iterator[Spot]:
        name = called.argument(loader.index, *loader.keywords)
        if name is None and not called.has_hidden:
            return  # built from parts, or given nothing
        local = called.keyword("local_files_only")
        if not self._is_constant(local, True):
            yield self._not_local(called, local)
        if name is not None and not (loader.by_name and local is not None):
            yield from self._of_name(called, name, REPO_ID) if not loader.by_name else ()
        yield from self._of_weights(called)
        yield from self._of_code(called)

    def _not_local(self, called: Called, local: ast.expr | None) -> Spot:
        shown = called.name.removeprefix(f"{SOMETHING}.")
        remedy = WITHOUT_LOCAL_ONLY.get(called.name, "")
        if local is not None:
            what = f"{shown} with a local_files_only that is not known to be True"
        elif called.has_hidden:
            what = f"{shown} without local_files_only=True: what ** brings counts as missing"
        else:
            what = f"{shown} without local_files_only=True"
        return _spot(NO_LOCAL_ONLY, called.node, what, remedy)

    def _of_name(self, called: Called, name: ast.expr, rule: str) -> Iterator[Spot]:
        values = self._known.values(name)
        repos = [value for value in values if value.is_repo]
        if not repos:
            return
        shown = called.name.removeprefix(f"{SOMETHING}.")
        replacing = [value for value in repos if value.replaces and len(repos) < len(values)]
        if replacing:
            yield from (_takes_over(value, shown, called.node.lineno) for value in replacing)
        elif self._replaces(called):
            what = f"{shown}({repos[0].shown!r}) takes the place of a load that failed or was not tried"
            yield _spot(FALLBACK, called.node, what)
        else:
            told = ", ".join(_told(value, called.node.lineno) for value in repos[:3])
            yield _spot(rule, called.node, f"{shown} gets {told}, which means a repo of the Hub")

    def _replaces(self, called: Called) -> bool:
        """Whether the call is what an `except`, or the other branch of a condition, does in place of another load."""
        child: ast.AST = called.node
        for parent in self._known.module.around(called.node):
            if isinstance(parent, ast.Try) and isinstance(child, ast.ExceptHandler):
                return any(self._loads_in(parent.body))
            if isinstance(parent, ast.If) and child is not parent.test:
                other = parent.orelse if child in parent.body else parent.body
                if any(not self._is_repo(each) for each in self._loads_in(other)):
                    return True
            child = parent
        return False

    def _loads_in(self, statements: list[ast.stmt]) -> Iterator[Called]:
        nodes = {node for statement in statements for node in ast.walk(statement)}
        yield from (called for node, called in self._loaders.items() if node in nodes)

    def _is_repo(self, called: Called) -> bool:
        loader = loader_of(called)
        name = called.argument(loader.index, *loader.keywords) if loader else None
        return name is not None and all(value.is_repo for value in self._known.values(name))

    def _of_pipeline(self, called: Called) -> Iterator[Spot]:
        model = called.argument(1, "model")
        if model is None:
            yield _spot(PIPELINE, called.node, "pipeline() without a model takes the task's default one")
        else:
            yield from self._of_name(called, model, PIPELINE)
        for part in ("tokenizer", "feature_extractor", "image_processor", "processor", "config"):
            given = called.keyword(part)
            if given is not None:
                yield from self._of_name(called, given, PIPELINE)
        yield from self._of_code(called)

    def _of_weights(self, called: Called) -> Iterator[Spot]:
        if self._is_constant(called.keyword("use_safetensors"), False):
            yield _spot(UNSAFE, called.node, f"{called.last} with use_safetensors=False")
        file = called.argument(1, "filename") if called.last in ("hf_hub_download", "cached_file") else None
        for text in self._known.texts(file) if file is not None else ():
            if text.endswith(_PICKLES):
                yield _spot(UNSAFE, called.node, f"{called.last} wants {text.replace(HOLE, '…')}, a pickle")

    def _of_code(self, called: Called) -> Iterator[Spot]:
        if self._is_constant(called.keyword("trust_remote_code"), True) and not self._has_modules_cache:
            what = f"{called.last} with trust_remote_code=True, and nothing sets {_FROM_MODULES}"
            yield _spot(WRITES, called.node, what)

    def _is_constant(self, expr: ast.expr | None, constant: object) -> bool:
        return expr is not None and all(value.known and value.content is constant for value in self._known.values(expr))


def _spot(rule: str, node: ast.expr, what: str, remedy: str = "") -> Spot:
    return Spot(rule, node.lineno, node.col_offset + 1, what, remedy)


def _told(value: Value, line: int) -> str:
    return repr(value.shown) if value.line == line else f"{value.shown!r} (of line {value.line})"


def _takes_over(value: Value, shown: str, line: int) -> Spot:
    what = f"{value.shown!r} takes the place of a path, and {shown} in line {line} looks for it on the Hub"
    return Spot(FALLBACK, value.line, value.column + 1, what)
