"""``README.txt`` of a kit: what a person on the isolated host types, in the order that keeps them safe."""

from __future__ import annotations

from collections.abc import Sequence

from bundler.core.bundle_manifest import BundleManifest
from bundler.core.layout import HEAD, LOADER, PAPERS, SHA256SUMS


def render_readme(manifest: BundleManifest, tar: str, papers: Sequence[str]) -> str:
    """The text for the kit of ``manifest``, whose bundle is called ``tar``."""
    return (
        "\n\n".join(
            [
                _title(manifest),
                _CHECK,
                _INSTALL,
                _AFTERWARDS,
                _WITHOUT_PYTHON.replace("BUNDLE", tar),
                _contents(tar, papers),
                "",
            ]
        ).rstrip("\n")
        + "\n"
    )


def _title(manifest: BundleManifest) -> str:
    title = f"{manifest.name} {manifest.version} for {manifest.platform}"
    images = "\n".join(f"  {image.reference}" for image in manifest.images)
    models = "\n".join(f"  {model.told} at {model.path}" for model in manifest.models)
    lines = [title, "=" * len(title), "", "Images:", images]
    return "\n".join([*lines, "Models inside them:", models] if models else lines)


_CHECK = f"""1. Check the medium, before any program of this kit runs, with your host's own program:

     sha256sum --check --quiet {SHA256SUMS}

   It prints nothing if every file is as it was written. A file that {SHA256SUMS} does not list does not belong here."""

_INSTALL = f"""2. Install (needs a container engine and Python 3.9 or newer; no network, nothing else):

     python3 {LOADER} install .

   Nothing gets its name before everything was verified and proved; after a failure the same command goes on."""

_AFTERWARDS = f"""3. At any later time:

     python3 {LOADER} verify .        reads every byte of this kit
     python3 {LOADER} inspect .       shows what is in it
     python3 {LOADER} audit           compares what is installed with what was brought"""

_WITHOUT_PYTHON = """Without Python: the bundle is an OCI archive and a docker-archive at once. After step 1,

     docker load --input BUNDLE       Docker 23 or newer
     podman load --input BUNDLE

bring the images in, without the proofs and checks of step 2."""


def _contents(tar: str, papers: Sequence[str]) -> str:
    rows = [
        (tar, "the bundle: images, models, files"),
        (f"{HEAD}/", "what decides, as it also stands in the bundle"),
        (LOADER, "the program of step 2"),
        (SHA256SUMS, "the checksum of every file of this kit"),
    ]
    rows += (
        [(f"{PAPERS}/", f"{len(papers)} files: licences, results of checks, report.html for people")] if papers else []
    )
    width = max(len(name) for name, _ in rows)
    return "\n".join(["In this directory:", *(f"  {name:<{width}}  {text}" for name, text in rows)])
