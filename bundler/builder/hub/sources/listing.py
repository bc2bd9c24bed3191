"""What a source says that a commit holds, and what of it a recipe takes: one way into the lock for all sources."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from huggingface_hub.utils import filter_repo_objects
from pydantic import ValidationError

from bundler.builder.lock import LicenseText, LockedFile, LockedLicense, LockedModel
from bundler.builder.recipe_models import ModelSpec
from bundler.core.errors import DownloadError


@dataclass(frozen=True)
class ListedFile:
    """One file of a commit, as a source told it: ``size`` in bytes, one of the digests in hexadecimal digits."""

    path: str
    size: int
    sha256: str | None
    git_sha1: str | None


@dataclass(frozen=True)
class Listing:
    """All files of one commit, and what the repo says of itself."""

    canonical_id: str
    commit: str | None
    files: tuple[ListedFile, ...]
    license: LockedLicense
    library: str | None = None

    def locked(self, wanted: ModelSpec, where: str) -> LockedModel:
        """The part of it that the recipe takes; raises DownloadError where that is nothing or cannot be a model."""
        taken = set(selected([file.path for file in self.files], wanted))
        if not taken:
            remedy = "widen the model's patterns"
            raise DownloadError("no file of the repo matches include and exclude", where=where, remedy=remedy)
        try:
            return self._locked(wanted, taken)
        except ValidationError as error:
            first = error.errors()[0]
            raise DownloadError(
                f"the answer cannot be a model: {'.'.join(map(str, first['loc']))}: {first['msg']}",
                where=where,
                remedy="ask another endpoint or source",
            ) from error

    def _locked(self, wanted: ModelSpec, taken: set[str]) -> LockedModel:
        files = (
            LockedFile(path=file.path, size=file.size, sha256=file.sha256, git_sha1=file.git_sha1)
            for file in self.files
            if file.path in taken
        )
        return LockedModel(
            name=wanted.name,
            repo_id=wanted.repo,
            canonical_id=self.canonical_id,
            revision=wanted.revision,
            commit=self.commit,
            include=wanted.include,
            exclude=wanted.exclude,
            license=self.license,
            library=self.library,
            has_safetensors=any(file.path.endswith(".safetensors") for file in self.files),
            files=tuple(sorted(files, key=lambda file: file.path)),
        )


def selected(paths: Sequence[str], wanted: ModelSpec) -> list[str]:
    """Those of ``paths`` that ``include`` and ``exclude`` leave, by the rules of the Hub's own client."""
    include, exclude = list(wanted.include) or None, list(wanted.exclude) or None
    return list(filter_repo_objects(paths, allow_patterns=include, ignore_patterns=exclude))


def unknown_license() -> LockedLicense:
    """Nothing is said about terms."""
    return LockedLicense(id=None, name=None, link=None, gated=False, texts=(), accepted=None)


def license_of(
    card: dict[str, object], texts: Sequence[LicenseText], *, gated: bool = False, tagged: str | None = None
) -> LockedLicense:
    """What the metadata of a model card says (https://huggingface.co/docs/hub/model-cards), else the repo's tag."""
    return LockedLicense(
        id=_text(card.get("license")) or tagged,
        name=_text(card.get("license_name")),
        link=_text(card.get("license_link")),
        gated=gated,
        texts=tuple(sorted(texts, key=lambda text: text.path)),
        accepted=None,
    )


def _text(value: object) -> str | None:
    """A card may name several licences."""
    if isinstance(value, (list, tuple)):
        return ", ".join(str(each) for each in value) or None
    return str(value) if value not in (None, "") else None
