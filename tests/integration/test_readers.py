"""Programs that know nothing of bundler read what ``bundler build`` wrote: the same names and content everywhere.

Two of the kit's images share layers, with a model whose frame came from several jobs of zstd; the third is an image of
others with gzip layers. What is expected is read out of ``head/bundle.json`` as plain JSON, not through the product's
own reader.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import zstandard

from bundler.core.digest import Digest
from bundler.core.oci import chain_ids
from bundler.core.reference import Reference
from testbed import TestbedError
from testbed.debian import command, install_host_packages
from testbed.engines import DATA_DIR, RUN_DIR, RunningEngine
from testbed.images import busybox_image
from testbed.leftovers import remove_engine
from tests.bundles import damage, tar_of
from tests.support.build_site import DOCKERFILE, RECIPE, build_site

pytestmark = pytest.mark.engine

READS_ZSTD = ("docker26", "docker26_containerd", "docker28", "docker28_containerd")
CONTAINERDS = ("docker20", "docker26", "docker28_containerd")  # containerd 1.6, 1.7 and 2.1
NAMESPACE = "bundler-readers"
TIMEOUT_S = 300
REPOSITORY = "bundler-test/readers"
MODEL_SIZE = 6 << 20  # three jobs of the builder's compression
IMAGES = f"""\
images:
  - {{ image: "{REPOSITORY}:beside", from: oci-layout, path: layout }}
"""
GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
# A container's own limits may not be above those of the machine that the tests run on.
PODMAN_LIMITS = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000")

RunIn = Callable[[str, Sequence[str]], str]


@dataclass(frozen=True)
class Sent:
    """A kit, and what its ``bundle.json`` says: the entries of its three images, ``beside`` being that of others."""

    kit: Path
    base: Mapping[str, Any]
    app: Mapping[str, Any]
    beside: Mapping[str, Any]
    model: Mapping[str, Any]

    @property
    def tar(self) -> Path:
        return tar_of(self.kit)

    @property
    def images(self) -> tuple[Mapping[str, Any], ...]:
        return self.base, self.app, self.beside

    @property
    def names(self) -> set[str]:
        return {image["reference"] for image in self.images}

    @property
    def blobs(self) -> set[str]:
        """Digests of all blobs that the tar should hold."""
        layers = {blob for image in self.images for blob in stored(image)}
        return layers | {image[key] for image in self.images for key in ("image_id", "manifest_digest")}

    @property
    def chains(self) -> set[str]:
        """The stacks of layers that all images together are made of: the base's are the first of the app's."""
        stacks = (chain_ids(map(Digest.parse, plain(image))) for image in (self.app, self.beside))
        return {str(chain) for stack in stacks for chain in stack}


def stored(image: Mapping[str, Any]) -> list[str]:
    return [layer["digest"] for layer in image["layers"]]


def plain(image: Mapping[str, Any]) -> list[str]:
    return [layer["diff_id"] for layer in image["layers"]]


@pytest.fixture(scope="module")
def sent(docker20: RunningEngine, tmp_path_factory: pytest.TempPathFactory) -> Sent:
    install_host_packages()
    root = tmp_path_factory.mktemp("readers")
    with build_site(root, docker20, MODEL_SIZE) as site:
        (site.recipe / "recipe.yaml").write_text(RECIPE.replace("small:", f"{REPOSITORY}:") + IMAGES)
        (site.recipe / "Dockerfile").write_text(DOCKERFILE.replace("small:", f"{REPOSITORY}:"))
        write_layout(docker20, site.recipe / "layout", root)
        kit = site.build("--rehearse", "off")
    document = json.loads((kit / "head" / "bundle.json").read_text())
    base, app, beside = document["images"]
    assert stored(base) == stored(app)[: len(stored(base))]
    assert base["reference"].startswith("docker.io/bundler-test/")
    assert {layer["media_type"] for layer in beside["layers"]} == {GZIP}
    assert [image["manifest"] for image in document["images"]] == ["ours", "ours", "source"]
    return Sent(kit, base, app, beside, document["models"][0])


def write_layout(engine: RunningEngine, layout: Path, work: Path) -> None:
    """An image of two layers, gzipped as skopeo has them, that nothing of bundler has touched."""
    busybox_image(engine, "readers-os:1")
    engine.docker("run", "--name", "readers", "readers-os:1", "sh", "-c", "echo beside > /beside")
    engine.docker("commit", "readers", f"{REPOSITORY}:beside")
    engine.docker("save", "--output", f"{work}/beside.tar", f"{REPOSITORY}:beside")
    engine.docker("rm", "readers")
    engine.docker("rmi", f"{REPOSITORY}:beside", "readers-os:1")
    source, target = f"docker-archive:{work}/beside.tar", f"oci:{layout}:{REPOSITORY}:beside"
    command(["skopeo", "--insecure-policy", "copy", "--quiet", source, target])


@pytest.fixture(scope="module")
def layout(sent: Sent, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tar as GNU tar unpacks it."""
    folder = tmp_path_factory.mktemp("layout")
    command(["tar", "--extract", "--file", str(sent.tar), "--directory", str(folder)])
    return folder


def refused(argv: Sequence[str | Path], cwd: Path | None = None) -> str:
    """Run a program that has to fail; everything that it says."""
    done = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode != 0, done.stdout
    return done.stdout + done.stderr


def require_content(sent: Sent, run_in: RunIn) -> None:
    """Containers of base and app have every file of the model, and that of the app and the third their own layers."""
    paths = {f"{sent.model['path']}/{file['path']}": file["sha256"] for file in sent.model["files"]}
    for image in (sent.base, sent.app):
        lines = run_in(image["reference"], ["sha256sum", *paths]).splitlines()
        found = {path: f"sha256:{digest}" for digest, path in (line.split() for line in lines)}
        assert found == {path: f"sha256:{digest.removeprefix('sha256:')}" for path, digest in paths.items()}
    assert run_in(sent.app["reference"], ["cat", "/srv/app.txt"]) == "application\n"
    assert run_in(sent.beside["reference"], ["cat", "/beside"]) == "beside\n"


# The bytes that the readers get are the builder's own


def test_the_models_frame_is_the_builders(sent: Sent, layout: Path) -> None:
    """Of several jobs, with a checksum and without the content's size: not what other writers of zstd leave."""
    (layer,) = (layer for layer in sent.app["layers"] if layer["model"])
    assert layer["uncompressed_size"] > MODEL_SIZE
    frame = zstandard.get_frame_parameters((layout / "blobs" / layer["digest"].replace(":", "/")).read_bytes()[:64])
    assert frame.has_checksum
    assert frame.content_size == zstandard.CONTENTSIZE_UNKNOWN


# coreutils and GNU tar


def test_sha256sum_checks_the_kit_and_the_members(sent: Sent, layout: Path) -> None:
    files = {path.relative_to(sent.kit).as_posix() for path in sent.kit.rglob("*") if path.is_file()}
    members = {path.relative_to(layout).as_posix() for path in layout.rglob("*") if path.is_file()}
    for folder, sums, expected in ((sent.kit, "SHA256SUMS", files), (layout, "MEMBERS", members)):
        out = command(["env", "-C", str(folder), "sha256sum", "--strict", "--check", sums])
        assert set(out.splitlines()) == {f"{name}: OK" for name in expected - {sums}}
    blobs = {name for name in members if name.startswith("blobs/")}
    assert blobs == {f"blobs/{digest.replace(':', '/')}" for digest in sent.blobs}


def test_sha256sum_names_what_was_damaged(sent: Sent, tmp_path: Path) -> None:
    kit = tmp_path / "kit"
    shutil.copytree(sent.kit, kit)
    member = f"blobs/{stored(sent.app)[0].replace(':', '/')}"
    damage(kit, member)
    assert f"{sent.tar.name}: FAILED" in refused(["sha256sum", "--check", "SHA256SUMS"], kit).splitlines()
    command(["tar", "--extract", "--file", str(tar_of(kit)), "--directory", str(tmp_path)])
    lines = refused(["sha256sum", "--check", "MEMBERS"], tmp_path).splitlines()
    assert [line for line in lines if line.endswith(": FAILED")] == [f"{member}: FAILED"]


# Docker


@pytest.fixture(params=READS_ZSTD)
def docker(request: pytest.FixtureRequest, sent: Sent) -> Iterator[RunningEngine]:
    """Each engine that reads zstd layers, without the kit's images afterwards."""
    engine: RunningEngine = request.getfixturevalue(request.param)
    yield engine
    engine.docker("image", "rm", "--force", *sorted(sent.names))


def test_docker_load(docker: RunningEngine, sent: Sent) -> None:
    familiar = {Reference.parse(name).familiar for name in sent.names}
    out = docker.docker("load", "--input", str(sent.tar))
    assert set(out.splitlines()) == {f"Loaded image: {name}" for name in familiar}
    shown = docker.docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", REPOSITORY)
    assert set(shown.split()) == familiar
    shown_images = [json.loads(docker.docker("image", "inspect", image["reference"]))[0] for image in sent.images]
    key = "manifest_digest" if docker.store == "containerd" else "image_id"
    assert [image["Id"] for image in shown_images] == [image[key] for image in sent.images]
    assert [image["RootFS"]["Layers"] for image in shown_images] == [plain(image) for image in sent.images]
    base, app, _ = shown_images
    if docker.store == "overlay2":  # each layer has one folder, and the app's stack goes on where the base's ends
        folders = [base["GraphDriver"]["Data"]["UpperDir"], *base["GraphDriver"]["Data"]["LowerDir"].split(":")]
        assert app["GraphDriver"]["Data"]["LowerDir"].split(":") == folders
    else:
        assert sent.chains <= snapshots(docker, "moby")
    require_content(sent, lambda name, argv: docker.run("--network", "none", name, *argv))


def test_docker_20_refuses_compressed_layers_and_keeps_nothing(docker20: RunningEngine, sent: Sent) -> None:
    before = sorted(docker20.docker("images", "--all", "--quiet").split())
    with pytest.raises(TestbedError, match="archive/tar: invalid tar header"):
        docker20.docker("load", "--input", str(sent.tar))
    assert sorted(docker20.docker("images", "--all", "--quiet").split()) == before


# containerd


def ctr(engine: RunningEngine, *arguments: str, namespace: str = NAMESPACE) -> str:
    """The client of the engine's own containerd; Docker's images are in the name space ``moby``."""
    program = engine.kind.root() / "usr/bin/ctr"
    argv = [str(program), "--address", f"{engine.run_dir}/containerd.sock", "--namespace", namespace]
    return command([*argv, *arguments], timeout_s=TIMEOUT_S)


def rows(table: str) -> list[list[str]]:
    return [line.split() for line in table.splitlines()[1:]]


def snapshots(engine: RunningEngine, namespace: str) -> set[str]:
    return {row[0] for row in rows(ctr(engine, "snapshots", "list", namespace=namespace))}


@pytest.fixture(params=CONTAINERDS)
def containerd(request: pytest.FixtureRequest) -> Iterator[RunningEngine]:
    """Each containerd, with a name space for this test that is gone afterwards."""
    engine: RunningEngine = request.getfixturevalue(request.param)
    yield engine
    if images := ctr(engine, "images", "list", "--quiet").split():
        ctr(engine, "images", "rm", "--sync", *images)
    assert snapshots(engine, NAMESPACE) == set()
    ctr(engine, "namespaces", "rm", NAMESPACE)


def test_ctr_images_import(containerd: RunningEngine, sent: Sent) -> None:
    ctr(containerd, "images", "import", str(sent.tar))
    found = {row[0]: row[2] for row in rows(ctr(containerd, "images", "list"))}
    assert found == {image["reference"]: image["manifest_digest"] for image in sent.images}
    # containerd 1.7 and later keep the other members as content too.
    assert sent.blobs <= set(ctr(containerd, "content", "list", "--quiet").split())
    assert snapshots(containerd, NAMESPACE) == sent.chains

    def run_in(name: str, argv: Sequence[str]) -> str:
        # Below the engine's own control group, which is removed with the engine.
        group = f"/{containerd.run_dir.name}/readers"
        return ctr(containerd, "run", "--rm", "--cgroup", group, name, "reader", *argv)

    require_content(sent, run_in)


# Podman


@dataclass(frozen=True)
class Podman:
    """Podman with a store, a state directory and locks of its own."""

    run_dir: Path
    disk: Path

    def __call__(self, *arguments: str) -> str:
        places = ["--root", str(self.disk), "--runroot", f"{self.run_dir}/run", "--tmpdir", f"{self.run_dir}/tmp"]
        argv = ["podman", *places, "--storage-driver", "overlay", "--cgroup-manager", "cgroupfs", *arguments]
        configuration = {"CONTAINERS_CONF": f"{self.run_dir}/containers.conf"}
        return command(argv, timeout_s=TIMEOUT_S, env={**os.environ, **configuration})

    def run(self, name: str, argv: Sequence[str]) -> str:
        group = ["--cgroup-parent", f"/{self.run_dir.name}"]
        return self("run", "--rm", "--pull", "never", "--network", "none", *PODMAN_LIMITS, *group, name, *argv)

    def inspect(self, image: Mapping[str, Any]) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self("image", "inspect", image["reference"]))[0]
        return document

    def layers(self) -> int:
        return len(json.loads((self.disk / "overlay-layers" / "layers.json").read_text()))


@pytest.fixture
def podman() -> Iterator[Podman]:
    """An empty Podman; named so that what a killed test run leaves is swept away with the engines of the test bed."""
    install_host_packages()
    name = f"podman-{os.getpid()}-0"
    here = Podman(RUN_DIR / name, DATA_DIR / name)
    here.run_dir.mkdir(parents=True)
    here.disk.mkdir(parents=True)
    # Locks in files: those in shared memory would be common to all Podmans of the machine, and stay.
    (here.run_dir / "containers.conf").write_text('[engine]\nlock_type = "file"\nevents_logger = "none"\n')
    try:
        yield here
    finally:
        remove_engine(here.run_dir, here.disk)


def require_podman_holds(podman: Podman, sent: Sent) -> list[str]:
    """Names, ids, layers and content; gives the digests of the manifests that Podman has."""
    listed = podman("images", "--no-trunc", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}").splitlines()
    assert dict(line.split() for line in listed) == {image["reference"]: image["image_id"] for image in sent.images}
    inspected = [podman.inspect(image) for image in sent.images]
    assert [entry["RootFS"]["Layers"] for entry in inspected] == [plain(image) for image in sent.images]
    assert podman.layers() == len(sent.chains)
    require_content(sent, podman.run)
    return [entry["Digest"] for entry in inspected]


def test_podman_load(podman: Podman, sent: Sent) -> None:
    """It takes several images by ``manifest.json`` alone, and then writes manifests of its own."""
    out = podman("load", "--input", str(sent.tar))
    assert set(out.splitlines()) == {f"Loaded image: {name}" for name in sent.names}
    require_podman_holds(podman, sent)


def test_podman_pull_of_one_image_after_the_other_keeps_the_manifests(podman: Podman, sent: Sent) -> None:
    for image in sent.images:
        podman("pull", f"oci-archive:{sent.tar}:{image['reference']}")
    assert require_podman_holds(podman, sent) == [image["manifest_digest"] for image in sent.images]


# skopeo and umoci


def test_skopeo_inspect(sent: Sent) -> None:
    for image in sent.images:
        document = json.loads(command(["skopeo", "inspect", f"oci-archive:{sent.tar}:{image['reference']}"]))
        assert document["Digest"] == image["manifest_digest"]
        assert document["Layers"] == stored(image)
        assert (document["Os"], document["Architecture"]) == ("linux", "amd64")


def test_skopeo_wants_to_be_told_which_image(sent: Sent) -> None:
    assert "more than one image in oci, choose an image" in refused(["skopeo", "inspect", f"oci-archive:{sent.tar}"])


def test_skopeo_copy(sent: Sent, tmp_path: Path) -> None:
    for image in sent.images:
        source, target = f"oci-archive:{sent.tar}:{image['reference']}", f"oci:{tmp_path}:{image['reference']}"
        command(["skopeo", "--insecure-policy", "copy", "--quiet", source, target])
    entries = json.loads((tmp_path / "index.json").read_text())["manifests"]
    found = {entry["annotations"]["org.opencontainers.image.ref.name"]: entry["digest"] for entry in entries}
    assert found == {image["reference"]: image["manifest_digest"] for image in sent.images}
    blobs = {f"sha256:{path.name}": path for path in (tmp_path / "blobs" / "sha256").iterdir()}
    assert set(blobs) == sent.blobs
    assert {digest: str(Digest.of(path.read_bytes())) for digest, path in blobs.items()} == {d: d for d in blobs}


def test_umoci_lists_and_describes(sent: Sent, layout: Path) -> None:
    assert set(command(["umoci", "list", "--layout", str(layout)]).split()) == sent.names
    for image in sent.images:
        told = json.loads(command(["umoci", "stat", "--json", "--image", f"{layout}:{image['reference']}"]))
        layers = [entry for entry in told["history"] if entry.get("layer")]
        assert [entry["layer"]["digest"] for entry in layers] == stored(image)
        assert [entry["diff_id"] for entry in layers] == plain(image)


def test_umoci_runtime_configuration(sent: Sent, layout: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    command(["umoci", "raw", "runtime-config", "--image", f"{layout}:{sent.app['reference']}", str(config)])
    assert json.loads(config.read_text())["process"]["args"] == ["cat", "/srv/app.txt"]


def test_umoci_does_not_unpack_zstd_layers(sent: Sent, layout: Path, tmp_path: Path) -> None:
    """It says so by the media type; a newer one, or any engine, has to do that."""
    said = refused(["umoci", "unpack", "--image", f"{layout}:{sent.app['reference']}", tmp_path / "bundle"])
    assert "blob is not correct mediatype: application/vnd.oci.image.layer.v1.tar+zstd" in said
