"""The parts of a model of sentence-transformers: without them it loads all the same, and answers wrongly.

``modules.json`` lists the modules, each with its folder; where it is missing, the library takes mean pooling in the
place of what the model was trained with, in silence (``BaseModel._load_default_modules``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator
from pathlib import Path, PurePosixPath

from bundler.builder.hub.soundness.weight_files import below, is_weights, suffix

MODULES = "modules.json"
_LIBRARY = "sentence-transformers"
#: Weights that the library loads; others, such as GGUF, come from repos that name it for their origin alone.
_LOADED = frozenset({".safetensors", ".bin", ".onnx"})
_SIGNS = (MODULES, "config_sentence_transformers.json")
_FOLDER = re.compile(r"\d+_[A-Z]\w*/.+")
#: What a module of a known type keeps in its folder; one that isn't here (Normalize, custom ones) may keep nothing.
_CONFIGS = {
    "Pooling": ("config.json",),
    "Dense": ("config.json",),
    "LayerNorm": ("config.json",),
    "WeightedLayerPooling": ("config.json",),
    "LogitScore": ("config.json",),
    "CNN": ("cnn_config.json",),
    "LSTM": ("lstm_config.json",),
    "Transformer": ("config.json", "adapter_config.json"),  # one of them
}
_WEIGHTED = frozenset({"Dense", "LayerNorm", "WeightedLayerPooling", "CNN", "LSTM", "Transformer"})

Read = Callable[[str], Path]
"""Where a file of the model stands."""


def is_of_sentence_transformers(library: str | None, paths: Collection[str]) -> bool:
    """Whether the repo says so of weights that the library loads, or a file of its own is among those taken."""
    if any(sign in paths for sign in _SIGNS):
        return True
    return library == _LIBRARY and any(is_weights(path) and suffix(path) in _LOADED for path in paths)


def lacks_modules_for_certain(paths: Collection[str]) -> bool:
    """Whether ``modules.json`` was left out, as can be told from names: the library's other files are there."""
    return MODULES not in paths and (_SIGNS[1] in paths and any(_FOLDER.fullmatch(path) for path in paths))


def part_faults(library: str | None, paths: Collection[str], place: Read) -> Iterator[tuple[str, str]]:
    """What is missing, as a file and what is wrong with it; raises OSError."""
    if not is_of_sentence_transformers(library, paths):
        return
    if MODULES not in paths:
        if not lacks_modules_for_certain(paths) and not _is_reranker(paths, place):
            yield MODULES, "is missing: without it sentence-transformers takes mean pooling, whatever the model needs"
        return
    modules = _modules(_document(place(MODULES)))
    if modules is None:
        yield MODULES, "is not a list of modules with their types and folders"
        return
    for kind, folder in modules:
        yield from _module_faults(kind, folder, paths)


def _modules(document: object) -> list[tuple[str, str]] | None:
    """The type and the folder of each module, or None where the document is no such list."""
    if not isinstance(document, list):
        return None
    found = []
    for each in document:
        kind, folder = (each.get("type"), each.get("path")) if isinstance(each, dict) else (None, None)
        if not isinstance(kind, str) or not isinstance(folder, str):
            return None
        found.append((kind.rpartition(".")[2], folder.strip("/")))
    return found


def _module_faults(kind: str, folder: str, paths: Collection[str]) -> Iterator[tuple[str, str]]:
    where = PurePosixPath(folder)
    configs = [str(where / name) for name in _CONFIGS.get(kind, ())]
    if configs and not set(configs) & set(paths):
        yield configs[0], f"is missing: modules.json has a module {kind} there"
    if kind in _WEIGHTED and not any(below(path, folder) and is_weights(path) for path in paths):
        yield str(where), f"holds no weights: modules.json has a module {kind} there"


def _is_reranker(paths: Collection[str], place: Read) -> bool:
    """Cross-encoders are of the same library, and have no modules of their own."""
    config = _document(place("config.json")) if "config.json" in paths else None
    names = config.get("architectures") if isinstance(config, dict) else None
    return isinstance(names, list) and any(str(name).endswith("ForSequenceClassification") for name in names)


def _document(place: Path) -> object:
    try:
        return json.loads(place.read_bytes())
    except (ValueError, RecursionError):
        return None
