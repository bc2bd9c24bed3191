"""Small but real kits, made straight from the core's functions: busybox as OS, a "model" of some KB, two images.

    kit = make_bundle(tmp_path, version="1.0.0")
    kit = make_bundle(tmp_path, version="1.1.0", greeting="hello again")     # shares all but the app's layer

The base image is model + OS, the app image the same + app; all layers stand in the tar once. What a test wants wrong
is asked for by name (``lying_layer``), or done to the finished kit by ``damage``.
"""

from __future__ import annotations

import dataclasses
import io
import random
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import zstandard

from bundler.core.bundle_manifest import (
    BundledImage,
    BundledModel,
    BundleManifest,
    ModelFile,
    PayloadFile,
    render_bundle_manifest,
)
from bundler.core.checks import Peer, RunCheck
from bundler.core.checksums import render_sums
from bundler.core.digest import Digest
from bundler.core.layout import (
    BUNDLE_JSON,
    HEAD,
    HEAD_MEMBERS,
    INDEX_JSON,
    MANIFEST_JSON,
    MEMBERS,
    OCI_LAYOUT,
    README,
    SHA256SUMS,
    blob_name,
    member_order,
    payload_name,
    render_docker_manifest,
    render_index,
    render_oci_layout,
)
from bundler.core.oci import (
    LAYER_ZSTD,
    Descriptor,
    Image,
    Layer,
    render_config,
    render_manifest,
    render_plain_manifest,
)
from bundler.core.reference import Reference
from bundler.core.tarball import END, padding, read_members, render_header
from testbed.images import write_busybox

COMPOSE = b"services: {app: {image: 'bundler-test/service'}}\n"
MODELS = "/app/models"
MODEL_SIZE = 40_000


@dataclass(frozen=True)
class Made:
    """A layer and its blob."""

    layer: Layer
    blob: bytes


@dataclass(frozen=True)
class Wanted:
    """What a kit is to hold; sizes are bytes.

    ``lying_layer``: the app layer's diff_id is another one's; ``broken_layer``: it is no tar, and all digests fit;
    of several apps it is the last one's. ``sidecar``: an image of others, without a model.
    """

    name: str = "service"
    version: str = "1.0.0"
    platform: str = "linux/amd64"
    greeting: str = "hello"
    app_tag: str = ""
    model_seed: int = 1
    model_size: int = MODEL_SIZE
    files: Mapping[str, bytes] = field(default_factory=lambda: {"compose.yaml": COMPOSE, "docs/LICENSE": b"free\n"})
    expect: Sequence[str] = ("^hello",)
    forbid: Sequence[str] = ("(?i)error",)
    command: Sequence[str] = ("/bin/cat", "/app/greeting")
    within_s: float = 120.0
    lying_layer: bool = False
    broken_layer: bool = False
    more_apps: int = 0
    more_models: int = 0
    sidecar: bool = False
    allow: Sequence[str] = ()
    needs_gpu: bool = False

    @property
    def models(self) -> tuple[str, ...]:
        return ("tiny", *(f"tiny-{number}" for number in range(1, self.more_models + 1)))

    @property
    def base(self) -> Reference:
        return Reference.parse(f"bundler-test/{self.name}:base")

    @property
    def app(self) -> Reference:
        return Reference.parse(f"bundler-test/{self.name}:{self.app_tag or self.version}")

    @property
    def beside(self) -> Reference:
        return Reference.parse(f"bundler-test/{self.name}-sidecar:{self.version}")


def make_bundle(directory: Path, **wanted: object) -> Path:
    """Write a kit below ``directory``; its keywords are the fields of ``Wanted``. Gives the kit's path."""
    return write_kit(directory, Wanted(**wanted))  # type: ignore[arg-type]  # keywords of a dataclass, checked by it


def model_content(seed: int, size: int) -> dict[str, bytes]:
    """The files of the model: the same for the same seed."""
    weights = random.Random(seed).randbytes(size)
    return {"config.json": b'{"hidden_size": 8}\n', "model.safetensors": weights, "1_Pooling/config.json": b"{}\n"}


def write_kit(directory: Path, wanted: Wanted) -> Path:
    models = [_model_layer(wanted, number) for number, _ in enumerate(wanted.models)]
    os_layer = _compressed(_busybox(), "os")
    apps = [_app_layer(wanted, number) for number in range(1 + wanted.more_apps)]
    images = [(_image(wanted.base, [*models, os_layer], wanted), "base")]
    for number, app in enumerate(apps):
        reference = wanted.app if not number else dataclasses.replace(wanted.app, path=f"{wanted.app.path}-{number}")
        images.append((_image(reference, [*models, os_layer, app], wanted), "app"))
    beside = [_compressed(_tar({"sidecar/marker": b"beside\n"}), "foreign")] if wanted.sidecar else []
    images += [(_image(wanted.beside, [layer], wanted), "foreign") for layer in beside]
    manifest = _manifest(wanted, images)
    blobs = {blob_name(made.layer.blob.digest): made.blob for made in (*models, os_layer, *apps, *beside)}
    for image, _ in images:
        blobs |= {blob_name(image.image_id): image.config, blob_name(image.manifest_digest): image.manifest}
    blobs |= {payload_name(path): content for path, content in wanted.files.items()}
    return _write(directory / manifest.title, manifest, [image for image, _ in images], blobs)


def _compressed(plain: bytes, kind: str, model: str | None = None) -> Made:
    blob = zstandard.ZstdCompressor(level=3, threads=1).compress(plain)
    return Made(Layer(Digest.of(plain), len(plain), Descriptor.of(LAYER_ZSTD, blob), kind, model), blob)


def _tar(files: Mapping[str, bytes]) -> bytes:
    """A layer with these files and entries for all of their parents."""
    parents = {str(parent) for name in files for parent in Path(name).parents if str(parent) != "."}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name in sorted([*parents, *files]):
            entry = tarfile.TarInfo(name)
            entry.mode = 0o644
            if name in files:
                entry.size = len(files[name])
                archive.addfile(entry, io.BytesIO(files[name]))
            else:
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(entry)
    return buffer.getvalue()


def _busybox() -> bytes:
    with tempfile.TemporaryDirectory() as work:
        write_busybox(Path(work) / "os.tar")
        return (Path(work) / "os.tar").read_bytes()


def _model_layer(wanted: Wanted, number: int) -> Made:
    content = model_content(wanted.model_seed + number, wanted.model_size)
    name = wanted.models[number]
    return _compressed(_tar({f"{MODELS[1:]}/{name}/{path}": data for path, data in content.items()}), "model", name)


def _app_layer(wanted: Wanted, number: int) -> Made:
    text = wanted.greeting if not number else f"{wanted.greeting} {number}"
    made = _compressed(_tar({"app/greeting": f"{text}\n".encode()}), "app")
    if number < wanted.more_apps:
        return made
    if wanted.broken_layer:
        return _compressed(b"not a tar\n" * 5000, "app")
    if wanted.lying_layer:
        return Made(dataclasses.replace(made.layer, diff_id=Digest.of(b"another layer")), made.blob)
    return made


def _image(reference: Reference, layers: Sequence[Made], wanted: Wanted) -> Image:
    os_name, architecture = wanted.platform.split("/")
    document = {
        "created": "1970-01-01T00:00:00Z",
        "os": os_name,
        "architecture": architecture,
        "config": {"Env": ["PATH=/bin"], "Cmd": ["cat", "/app/greeting"]},
        "history": [{"created_by": f"layer {number}"} for number, _ in enumerate(layers)],
    }
    values = tuple(made.layer for made in layers)
    config = render_config(document, values)
    return Image(reference, config, render_manifest(config, values), values)


def _model(wanted: Wanted, number: int, name: str) -> BundledModel:
    content = model_content(wanted.model_seed + number, wanted.model_size)
    files = tuple(ModelFile(path, len(data), Digest.of(data)) for path, data in sorted(content.items()))
    path = f"{MODELS}/{name}"
    return BundledModel(name, f"org/{name}", "main", "0" * 39 + "1", path, "plain", "apache-2.0", files)


def _manifest(wanted: Wanted, images: Sequence[tuple[Image, str]]) -> BundleManifest:
    payload = tuple(PayloadFile(path, len(data), Digest.of(data)) for path, data in wanted.files.items())
    command, expect, forbid = tuple(wanted.command), tuple(wanted.expect), tuple(wanted.forbid)
    allow = tuple(map(Peer.parse, wanted.allow))
    check = RunCheck("greets", wanted.app, command, wanted.within_s, None, {}, allow, wanted.needs_gpu, expect, forbid)
    return BundleManifest(
        name=wanted.name,
        version=wanted.version,
        platform=wanted.platform,
        created="1970-01-01T00:00:00Z",
        created_by="tests",
        images=tuple(_entry(image, kind) for image, kind in images),
        models=tuple(_model(wanted, number, name) for number, name in enumerate(wanted.models)),
        files=payload,
        checks=(check,),
    )


def _entry(image: Image, kind: str) -> BundledImage:
    plain = Digest.of(render_plain_manifest(image.config, image.layers))
    models = tuple(layer.model for layer in image.layers if layer.model)
    return BundledImage(image.reference, kind, image.manifest_digest, image.image_id, plain, image.layers, models)


def _write(kit: Path, manifest: BundleManifest, images: Sequence[Image], blobs: Mapping[str, bytes]) -> Path:
    content = dict(blobs)
    content[BUNDLE_JSON] = render_bundle_manifest(manifest)
    content[INDEX_JSON] = render_index(images)
    content[OCI_LAYOUT] = render_oci_layout()
    content[MANIFEST_JSON] = render_docker_manifest(images)
    order = member_order(manifest)
    content[MEMBERS] = render_sums({name: Digest.of(content[name]) for name in order if name != MEMBERS})
    (kit / HEAD).mkdir(parents=True)
    with (kit / f"{manifest.title}.tar").open("wb") as tar:
        for name in order:
            data = content[name]
            tar.write(render_header(name, len(data)) + data + bytes(padding(len(data))))
        tar.write(END)
    for name in HEAD_MEMBERS:
        (kit / HEAD / name).write_bytes(content[name])
    (kit / README).write_text("python3 bundler.pyz install .\n")
    write_sums(kit)
    return kit


def write_sums(kit: Path) -> None:
    """Write the kit's SHA256SUMS anew over what stands there: whoever altered the kit altered its sums too."""
    names = sorted(path.relative_to(kit).as_posix() for path in kit.rglob("*") if path.is_file())
    sums = {name: Digest.of((kit / name).read_bytes()) for name in names if name != SHA256SUMS}
    (kit / SHA256SUMS).write_bytes(render_sums(sums))


def tar_of(kit: Path) -> Path:
    """The kit's tar."""
    return next(kit.glob("*.tar"))


def damage(kit: Path, member: str, where: float = 0.5) -> None:
    """Flip one bit inside a member of the kit's tar; ``where`` is the place in it, 0 to 1. The sums stay as they are."""
    tar = tar_of(kit)
    with tar.open("r+b") as stream:
        found = next(item for item in read_members(stream, tar.name) if item.name == member)
        position = found.offset + min(int(found.size * where), found.size - 1)
        stream.seek(position)
        value = stream.read(1)[0]
        stream.seek(position)
        stream.write(bytes([value ^ 0x10]))
