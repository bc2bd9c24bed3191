"""``bundler build``: options in, a short table out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import click

from bundler.builder.build import BuildReport, BuildSettings, RehearsalMode, build_kit
from bundler.builder.cache import default_cache
from bundler.builder.compress import Compression
from bundler.builder.download import ModelSettings, plan_download
from bundler.builder.engine_build.values import BuilderKind
from bundler.builder.images import BuildOptions, SecretSource
from bundler.builder.supply import DownloadSettings
from bundler.cli.build_arguments import build_arg_option, pairs
from bundler.cli.download_options import download_options
from bundler.cli.fetch import plan_as_object, render_plan
from bundler.cli.installer_options import json_option, lock_timeout_option, progress_option, where_in_code_option
from bundler.cli.progress import make_progress
from bundler.cli.rehearse import EngineRehearsal
from bundler.cli.tables import human_size, human_time, table
from bundler.core.check_result import told_proofs, told_remarks
from bundler.core.docker_api import connect
from bundler.core.errors import UsageError


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option(
    "--output", type=click.Path(path_type=Path), default=Path(), help="Where the kit's directory is written [here]."
)
@click.option("--dry-run", is_flag=True, help="Show what would be downloaded, from where, and what it takes.")
@click.option("--locked", is_flag=True, help="End if recipe.lock is missing or not what the recipe asks for.")
@download_options
@build_arg_option
@click.option("--secret", "secrets", metavar="id=ID,src=FILE|env=NAME", multiple=True, help="A build secret (buildx).")
@click.option("--wheelhouse", type=click.Path(path_type=Path), help="Wheels that each build sees as ./wheelhouse.")
@click.option("--network", type=click.Choice(["host"]), help="Network of RUN steps; the engine's default otherwise.")
@click.option("--builder", type=click.Choice(["buildx", "classic"]), help="Take this builder and no other.")
@click.option("--no-cache", is_flag=True, help="Let the builder run every step again.")
@click.option("--level", type=click.IntRange(1, 19), default=3, show_default=True, help="Compression level of zstd.")
@click.option(
    "--rehearse",
    type=click.Choice(["full", "mounted", "off"]),
    default="full",
    show_default=True,
    help="Prove the kit in this engine without a network before it gets its name.",
)
@where_in_code_option
@click.option("--load", is_flag=True, help="Bring the composed images into this engine under their names.")
@click.option("--host", metavar="URL", help="The engine [DOCKER_HOST, the context, the local socket].")
@lock_timeout_option("another build of this name")
@json_option
@progress_option
def build(  # one parameter for each option
    recipe: Path,
    output: Path,
    dry_run: bool,
    locked: bool,
    download: DownloadSettings,
    build_args: tuple[str, ...],
    secrets: tuple[str, ...],
    wheelhouse: Path | None,
    network: str | None,
    builder: str | None,
    no_cache: bool,
    level: int,
    rehearse: str,
    where_in_code: bool,
    load: bool,
    host: str | None,
    lock_timeout_s: float,
    as_json: bool,
    mode: str,
) -> None:
    """Build a kit from the directory RECIPE: models, base image and app images in one bundle, with checksums."""
    progress = make_progress(mode)
    cache = default_cache()
    if dry_run:
        plan = plan_download(recipe, ModelSettings(cache, download, pairs(build_args)), progress, only_locked=locked)
        click.echo(json.dumps(plan_as_object(plan)) if as_json else render_plan(plan))
        return
    options = BuildOptions(
        builder=cast("BuilderKind | None", builder),  # click has compared it with the choices
        args=pairs(build_args),
        secrets=tuple(_secret(text) for text in secrets),
        ca_bundle=download.ca_bundle,
        wheelhouse=wheelhouse,
        network="host" if network else None,
        no_cache=no_cache,
    )
    settings = BuildSettings(
        output=output,
        cache=cache,
        download=download,
        locked=locked,
        compression=Compression(level),
        rehearse=cast("RehearsalMode", rehearse),  # click has compared it with the choices
        load=load,
        lock_timeout_s=lock_timeout_s,
        engine=options,
    )
    rehearsal = EngineRehearsal(host, cache.rehearsals, where_in_code=where_in_code)
    report = build_kit(recipe, settings, connect(host), rehearsal, progress)
    if load:
        rehearsal.load(report.kit, progress)
    click.echo(json.dumps(as_object(report)) if as_json else render_report(report))


def _secret(text: str) -> SecretSource:
    fields: dict[str, str] = dict(part.partition("=")[::2] for part in text.split(",") if "=" in part)
    source = {key for key in ("src", "env") if key in fields}
    if "id" not in fields or len(source) != 1 or set(fields) - {"id", "src", "env"}:
        raise UsageError(
            "a secret needs an id, and one source",  # its text is not repeated: somebody may have written the value
            where="--secret",
            remedy="write --secret id=NAME,src=FILE or --secret id=NAME,env=VARIABLE",
        )
    path = Path(fields["src"]) if "src" in fields else None
    return SecretSource(fields["id"], path=path, variable=fields.get("env"))


def as_object(report: BuildReport) -> dict[str, object]:
    """The result for programs: sizes in bytes, times in seconds."""
    return {
        "kit": str(report.kit),
        "title": report.manifest.title,
        "kit_size": report.kit_size,
        "images": [
            {
                "reference": str(image.reference),
                "image_id": str(image.image_id),
                "manifest_digest": str(image.manifest_digest),
            }
            for image in report.manifest.images
        ],
        "models": [
            {
                "name": model.name,
                "repo_id": model.repo_id,
                "commit": model.commit,
                "size": sum(file.size for file in model.files),
            }
            for model in report.manifest.models
        ],
        "builder": report.builder,
        "rehearsal": report.rehearsal,
        "checks": [result.to_json() for result in report.checks],
        "seconds": dict(report.seconds),
    }


def render_report(report: BuildReport) -> str:
    """The short table at the end."""
    manifest = report.manifest
    images = [
        (
            image.reference.familiar,
            str(len(image.layers)),
            human_size(sum(layer.uncompressed_size for layer in image.layers)),
            human_size(sum(layer.blob.size for layer in image.layers)),
        )
        for image in manifest.images
    ]
    models = [
        (
            model.name,
            f"{model.repo_id}@{model.commit[:12]}" if model.commit else model.repo_id,
            model.path,
            human_size(sum(file.size for file in model.files)),
        )
        for model in manifest.models
    ]
    checks = [(result.name, result.told, human_time(result.seconds)) for result in report.checks]
    steps = [(title, human_time(seconds)) for title, seconds in report.seconds]
    loader = f"python3 {manifest.title}/bundler.pyz install {manifest.title}"
    return "\n\n".join(
        [
            table(("IMAGE", "LAYERS", "RAW", "COMPRESSED"), images, right=(1, 2, 3)),
            table(("MODEL", "FROM", "PATH", "SIZE"), models, right=(3,)),
            *([table(("CHECK", "RESULT", "TIME"), checks, right=(2,))] if checks else []),
            table(("STEP", "TIME"), steps, right=(1,)),
            "".join(f"{line}\n" for line in (*told_remarks(report.checks), *told_proofs(report.checks)))
            + f"kit: {report.kit} ({human_size(report.kit_size)})\n"
            f"next: carry that directory to the isolated host, then type there: {loader}",
        ]
    )
