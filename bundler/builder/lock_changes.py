"""What a new lock changes, in sentences for whoever decides about an upgrade."""

from __future__ import annotations

from collections.abc import Iterator

from bundler.builder.lock import Lock, LockedFile, LockedModel


def changes(before: Lock | None, after: Lock) -> tuple[str, ...]:
    """One line for each thing that is new, gone or different; empty if nothing is."""
    return (*_models(before, after), *_images(before, after))


def _models(before: Lock | None, after: Lock) -> Iterator[str]:
    for model in after.models:
        former = before.model_named(model.name) if before else None
        if former is None:
            yield f"{model.name}: new, {model.told}, {len(model.files)} files, {model.size:,} bytes"
        else:
            yield from (f"{model.name}: {line}" for line in _of_model(former, model))
    for former in before.models if before else ():
        if after.model_named(former.name) is None:
            yield f"{former.name}: gone, was {former.told}"


def _of_model(former: LockedModel, model: LockedModel) -> Iterator[str]:
    for what, then, now in (
        ("repo", former.repo_id, model.repo_id),
        ("revision", former.revision, model.revision),
        ("commit", former.commit, model.commit),
        ("now called", former.canonical_id, model.canonical_id),
        ("licence", former.license.name or former.license.id, model.license.name or model.license.id),
    ):
        if then != now:
            yield f"{what} {then or 'none'} -> {now or 'none'}"
    yield from _of_files({file.path: file for file in former.files}, {file.path: file for file in model.files})


def _of_files(former: dict[str, LockedFile], now: dict[str, LockedFile]) -> Iterator[str]:
    for path in sorted(former.keys() | now.keys()):
        if path not in former:
            yield f"  + {path}, {now[path].size:,} bytes"
        elif path not in now:
            yield f"  - {path}, {former[path].size:,} bytes"
        elif _differ(former[path], now[path]):
            yield f"  ~ {path}, {former[path].size:,} -> {now[path].size:,} bytes"


def _differ(former: LockedFile, now: LockedFile) -> bool:
    if former.size != now.size:
        return True
    pairs = ((former.sha256, now.sha256), (former.git_sha1, now.git_sha1))
    # A digest that only one of the two knows says nothing.
    return any(then is not None and later is not None and then != later for then, later in pairs)


def _images(before: Lock | None, after: Lock) -> Iterator[str]:
    former = {(image.role, image.asked): image for image in (before.images or () if before else ())}
    for image in after.images or ():
        then = former.pop((image.role, image.asked), None)
        if then is None:
            yield f"image {image.asked}: new, {image.kind} {image.value}"
        elif then != image:
            yield f"image {image.asked}: {then.kind} {then.value} -> {image.kind} {image.value}"
    for gone in former.values():
        yield f"image {gone.asked}: gone"
