"""A model is a model: what is refused although every byte of it is what the lock says.

A repo, a mirror or a directory can hold a shell of configuration, a pointer of Git LFS, a page of a proxy or half a
file, and a lock made from it vouches for that. Two stages look for it: by the lock alone, before anything is brought,
and by the files' heads once they are here. Each finding names a file and what to write; three of them a recipe may
insist on (``allow:``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

from bundler.builder.hub.fetch import Snapshot
from bundler.builder.hub.soundness.sentence_parts import (
    MODULES,
    is_of_sentence_transformers,
    lacks_modules_for_certain,
    part_faults,
)
from bundler.builder.hub.soundness.shard_index import index_fault, is_index
from bundler.builder.hub.soundness.weight_files import (
    is_pickled_by_name,
    is_weights,
    missing_shards,
    patterns_for,
    suffix,
)
from bundler.builder.hub.soundness.weight_headers import head_of, is_page, is_pickled, is_pointer, weights_fault
from bundler.builder.lock import LockedFile, LockedModel
from bundler.builder.recipe_models import ModelSpec, Waiver
from bundler.core.errors import DownloadError, Problem

_MEND_SOURCE = "the repo or the source holds it so: take another revision or another source, and lock again"
_MEND_PATTERNS = "let `include:` take it and `exclude:` not leave it out"


def listing_problems(spec: ModelSpec, locked: LockedModel) -> list[Problem]:
    """What the lock alone tells: decidable before a byte is brought."""
    paths = [file.path for file in locked.files]
    found = [*_too_little(spec, locked), *_unmet(spec, paths)]
    if "incomplete-parts" not in spec.allow:
        found += [
            _at(
                spec,
                path,
                "is missing, other weights of its series are there",
                _insist(_MEND_PATTERNS, "incomplete-parts"),
            )
            for path in missing_shards(paths)
        ]
        if is_of_sentence_transformers(locked.library, paths) and lacks_modules_for_certain(paths):
            what = "is missing: without it sentence-transformers takes mean pooling, whatever the model needs"
            found.append(_at(spec, MODULES, what, _insist(_MEND_PATTERNS, "incomplete-parts")))
    if locked.has_safetensors and "pickled-weights" not in spec.allow:
        found += _pickles(spec, [path for path in paths if is_pickled_by_name(path)])
    return found


def content_problems(spec: ModelSpec, snapshot: Snapshot) -> list[Problem]:
    """What the files' own first bytes tell; ``listing_problems`` are not repeated. Raises OSError."""
    model = snapshot.model
    paths = frozenset(file.path for file in model.files)
    faults = {file.path: fault for file in model.files if (fault := _file_fault(snapshot, file))}
    found = [_at(spec, path, what, _MEND_SOURCE) for path, what in faults.items()]
    if "incomplete-parts" not in spec.allow:
        places = {file.path: snapshot.path(file) for file in model.files}
        parts = [*part_faults(model.library, paths, places.__getitem__), *_index_faults(snapshot, paths)]
        remedy = _insist(_MEND_PATTERNS, "incomplete-parts")
        found += [_at(spec, path, what, remedy) for path, what in parts if path not in faults]
    if model.has_safetensors and "pickled-weights" not in spec.allow:
        found += _pickles(spec, [file.path for file in model.files if _hides_pickle(snapshot, file)])
    return found


def require_sound_listing(models: Iterable[tuple[ModelSpec, LockedModel]]) -> None:
    """Raise DownloadError with all that the lock alone tells against the models."""
    _require_none({spec.name: listing_problems(spec, locked) for spec, locked in models})


def require_sound(models: Iterable[tuple[ModelSpec, Snapshot]]) -> None:
    """Raise DownloadError with all that the models' files tell against them."""
    _require_none({spec.name: content_problems(spec, snapshot) for spec, snapshot in models})


def _require_none(found: Mapping[str, Sequence[Problem]]) -> None:
    wrong = [name for name, problems in found.items() if problems]
    problems = [problem for each in found.values() for problem in each]
    if problems:
        which = f"model {wrong[0]} is not a whole model" if len(wrong) == 1 else f"{len(wrong)} models are not whole"
        count = "one finding" if len(problems) == 1 else f"{len(problems)} findings"
        raise DownloadError(
            f"{which}: {count}",
            where=problems[0].where,
            remedy="mend what is named above, in recipe.yaml or at the source, then type the same command again",
            problems=problems,
        )


def _too_little(spec: ModelSpec, locked: LockedModel) -> Iterator[Problem]:
    count = f"{len(locked.files)} file{'' if len(locked.files) == 1 else 's'}"
    weights = [file for file in locked.files if is_weights(file.path)]
    told = f"model {spec.name}, {locked.told}"
    if not weights and "no-weights" not in spec.allow:
        what = f"is a shell, not a model: {count}, {locked.size:,} bytes, none of them weights"
        remedy = _insist("let `include:` take the weights, or take a revision that has them", "no-weights")
        yield Problem(told, what, remedy)
    for file in weights:
        if file.size == 0:
            yield _at(spec, file.path, "has 0 bytes: weights are missing there", _MEND_SOURCE)
    if spec.min_size is not None and locked.size < spec.min_size:
        what = f"has {locked.size:,} bytes in {count}; `min_size:` wants {spec.min_size:,}"
        yield Problem(told, what, "take the files that are missing, or correct `min_size:`")


def _unmet(spec: ModelSpec, paths: Sequence[str]) -> Iterator[Problem]:
    for pattern in spec.require:
        whole = f"{pattern}*" if pattern.endswith("/") else pattern
        if not any(fnmatchcase(path, whole) for path in paths):
            what = f"`require:` wants {pattern!r}, and no file fits"
            yield Problem(f"model {spec.name}", what, f"{_MEND_PATTERNS}, or correct `require:`")


def _file_fault(snapshot: Snapshot, file: LockedFile) -> str | None:
    """What stands in the place of a file, if it is not that file."""
    place = snapshot.path(file)
    size = place.stat().st_size
    if size != file.size:
        return f"has {size:,} bytes here, {file.size:,} in the lock"
    head = head_of(place)
    if is_pointer(head, size):
        return "is a pointer of Git LFS, not the file that it points to"
    if is_page(file.path, head):
        return "is a web page (HTML), not what its name says"
    return weights_fault(file.path, place, head, size) if is_weights(file.path) else None


def _index_faults(snapshot: Snapshot, paths: frozenset[str]) -> Iterator[tuple[str, str]]:
    for file in snapshot.model.files:
        if is_index(file.path):
            fault = index_fault(file.path, snapshot.path(file), file.size, paths)
            if fault:
                yield file.path, fault


def _hides_pickle(snapshot: Snapshot, file: LockedFile) -> bool:
    """Whether weights are a pickle under a name that does not say so."""
    if suffix(file.path) != ".bin" or not is_weights(file.path) or is_pickled_by_name(file.path):
        return False
    return is_pickled(head_of(snapshot.path(file)))


def _pickles(spec: ModelSpec, paths: Sequence[str]) -> Iterator[Problem]:
    """One finding a model: a pickle runs code when it is loaded, and the repo has the same weights without."""
    if paths:
        more = f", and {len(paths) - 1} more" if len(paths) > 1 else ""
        what = f"is pickled weights, which run code when they are loaded{more}; the repo has safetensors"
        patterns = ", ".join(f'"{pattern}"' for pattern in patterns_for(paths))
        yield _at(spec, paths[0], what, _insist(f"write `exclude: [{patterns}]`", "pickled-weights"))


def _at(spec: ModelSpec, path: str, what: str, remedy: str) -> Problem:
    return Problem(f"{spec.name}/{path}", what, remedy)


def _insist(remedy: str, waiver: Waiver) -> str:
    return f"{remedy}; or insist with `allow: [{waiver}]`"
