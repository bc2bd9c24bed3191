"""What a bundle says of itself: ``bundle.json`` out of the recipe, the lock and the composed images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import version as installed_version

from bundler import __version__
from bundler.builder.compress import ZSTD_RELEASE
from bundler.builder.describe_checks import describe_checks
from bundler.builder.licences import stated
from bundler.builder.lock import LockedModel
from bundler.builder.model_tree import ModelTree
from bundler.builder.recipe import Recipe
from bundler.builder.recipe_models import ModelSpec
from bundler.core.bundle_manifest import (
    BundledImage,
    BundledModel,
    BundleManifest,
    PayloadFile,
)
from bundler.core.digest import Digest
from bundler.core.errors import UsageError
from bundler.core.oci import Image, render_plain_manifest


@dataclass(frozen=True)
class FinishedImage:
    """A composed image, or one of others; ``kind`` is ``base``, ``app`` or ``foreign``, ``manifest`` whose that is."""

    image: Image
    kind: str
    models: tuple[str, ...]
    manifest: str = "ours"


def created_time(environment: Mapping[str, str]) -> str:
    """Now, or ``SOURCE_DATE_EPOCH`` (reproducible-builds.org), as RFC 3339 in UTC; raises UsageError for a bad one."""
    epoch = environment.get("SOURCE_DATE_EPOCH")
    try:
        moment = datetime.fromtimestamp(int(epoch), timezone.utc) if epoch else datetime.now(timezone.utc)
    except (ValueError, OverflowError, OSError) as error:
        raise UsageError(
            f"SOURCE_DATE_EPOCH is {epoch!r}", where="the environment", remedy="give seconds since 1970, or unset it"
        ) from error
    return moment.replace(microsecond=0).isoformat().replace("+00:00", "Z")


def describe_bundle(
    recipe: Recipe,
    models: Iterable[BundledModel],
    images: Iterable[FinishedImage],
    payload: Iterable[PayloadFile],
    created: str,
) -> BundleManifest:
    """``bundle.json`` as a value."""
    return BundleManifest(
        name=recipe.name,
        version=recipe.version,
        platform=recipe.platform,
        created=created,
        created_by=f"bundler {__version__}",
        images=tuple(_describe_image(item) for item in images),
        models=tuple(models),
        files=tuple(payload),
        checks=describe_checks(recipe),
        tools={"bundler": __version__, "zstandard": installed_version("zstandard"), "zstd": ZSTD_RELEASE},
    )


def describe_model(spec: ModelSpec, model: LockedModel, tree: ModelTree) -> BundledModel:
    """A model as it stands in the images."""
    return BundledModel(
        name=spec.name,
        repo_id=model.repo_id,
        revision=model.revision,
        commit=model.commit,
        path=str(tree.path),
        layout=spec.layout,
        license=stated(model.license),
        files=tree.model_files,
    )


def _describe_image(item: FinishedImage) -> BundledImage:
    image = item.image
    return BundledImage(
        reference=image.reference,
        kind=item.kind,
        manifest_digest=image.manifest_digest,
        image_id=image.image_id,
        plain_manifest_digest=Digest.of(render_plain_manifest(image.config, image.layers)),
        layers=image.layers,
        models=item.models,
        manifest=item.manifest,
    )
