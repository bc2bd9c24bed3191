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

   It prints nothing if every file is as it was written. A file that {SHA256SUMS} does not list does not belong here.
   Compare what "sha256sum {SHA256SUMS}" says with what the builder of the kit told you on another way."""

_INSTALL = f"""2. Install (needs Docker 20.10 or newer and Python 3.9 or newer; no network, nothing else):

     sudo python3 {LOADER} install . --into DIRECTORY

   DIRECTORY, outside of this kit, gets the files that travel with the images; without --into the last lines say where
   they are. Nothing gets its name before everything was verified and proved. After a failure the same command goes on, or
   "install --undo" takes back what it left. Every error ends with a line "do:". Nothing is started: where a compose.yaml
   came, "docker compose up --detach" in DIRECTORY does that, after an update too."""

_AFTERWARDS = f"""3. At any later time, as the same user:

     python3 {LOADER} verify .        reads every byte of this kit
     python3 {LOADER} inspect .       shows what is in it
     sudo python3 {LOADER} audit      compares what is installed with what was brought
     sudo python3 {LOADER} check      runs the checks of what is installed once more
     sudo python3 {LOADER} report --output DIRECTORY
                                         writes what was proved, and what was not, as one page

   Exit codes: 0 all is well, 2 wrong words, 6 the kit is damaged (copy it again), 8 this engine cannot take it, 9 a proof,
   a check or an audit failed, 10 something on this host is in the way. "--help" after any command tells the rest."""

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
