"""The index of weights that come in several files (``model.safetensors.index.json``): it names what must be there."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from pathlib import Path

from bundler.builder.hub.soundness.weight_files import folder, is_weights

_INDEX = re.compile(r"(?:.*/)?[^/]+\.(?P<format>safetensors|bin|h5|msgpack)\.index(?P<variant>\.[\w-]+)?\.json")
_MAX_INDEX_BYTES = 64 * 1024 * 1024


def is_index(path: str) -> bool:
    """Whether a file of this name is the index of shards."""
    return _INDEX.fullmatch(path) is not None


def index_fault(path: str, place: Path, size: int, paths: Collection[str]) -> str | None:
    """What is wrong with the index ``path`` that stands at ``place`` in a model of ``paths``; raises OSError.

    An index whose shards were all left out does no harm where loaders never come to it: safetensors are looked for
    before other formats, and a variant (``.fp16``) only on demand.
    """
    shards = _shards(place, size)
    if shards is None:
        return "is not an index of weights: it has no `weight_map`"
    where = folder(path)
    named = {f"{where}/{shard}" if where else shard for shard in shards}
    missing = sorted(named - set(paths))
    if not missing or (missing == sorted(named) and _idle(path, paths)):
        return None
    more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
    return f"names weights that are not there: {', '.join(missing[:3])}{more}"


def _shards(place: Path, size: int) -> Sequence[str] | None:
    if size > _MAX_INDEX_BYTES:
        return None
    try:
        document = json.loads(place.read_bytes())
    except (ValueError, RecursionError):
        return None
    weight_map = document.get("weight_map") if isinstance(document, dict) else None
    if not isinstance(weight_map, dict) or not all(isinstance(shard, str) for shard in weight_map.values()):
        return None
    return sorted(set(weight_map.values()))


def _idle(path: str, paths: Collection[str]) -> bool:
    match = _INDEX.fullmatch(path)
    beside = [each for each in paths if folder(each) == folder(path) and is_weights(each)]
    if match is None or (match["format"] == "safetensors" and match["variant"] is None):
        return False
    return any(match["variant"] is not None or each.endswith(".safetensors") for each in beside)
