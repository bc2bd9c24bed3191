"""Models of the same architectures as those of the recipe ocr-rag, under the real repositories' names and with their files.

They are made from configuration, by seed, in seconds: the weights are small and say nothing, but the programs that load
them are the real ones, and so is the layout. YomiToku's package has a stand-in of the same name, which reads pages that
``page`` draws. What needs torch runs in the reference environment (`testbed.reference`).
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from testbed.hub_repo import HubRepo
from testbed.libraries import site_packages
from testbed.reference import reference_python
from testbed.weights import cache_folder

SARASHINA = "sbintuitions/sarashina-embedding-v1-1b"
#: What the Hub calls it, and the spelling that people ask for.
RERANKER, RERANKER_ASKED = "nvidia/llama-3.2-nv-rerankqa-1b-v2", "nvidia/Llama-3.2-NV-RerankQA-1B-v2"
YOMITOKU = tuple(
    f"KotaroKinoshita/yomitoku-{name}"
    for name in (
        "text-recognizer-parseq-large-v4_1",
        "text-detector-dbnet-v2_1",
        "layout-parser-rtdtrv2-v2",
        "table-structure-recognizer-rtdtrv2-open-beta",
        "cell-detector-rtdtrv2-v1",
        "text-recognizer-parseq-tiny-dynw-v4",
    )
)
#: Of the recipe for the LLM server beside it: the repository and the one file that is taken of it.
LLM, LLM_FILE = "Qwen/Qwen2.5-1.5B-Instruct-GGUF", "qwen2.5-1.5b-instruct-q4_k_m.gguf"
#: What the service needs beside the reference environment, as its requirements.txt pins it.
PACKAGES = (
    "fastapi==0.165.0",
    "uvicorn==0.54.0",
    "python-multipart==0.0.34",
    "pillow==13.0.0",
    "pydantic==2.14.4",
    "pyyaml==6.0.4",
    "onnx==1.23.2",
    "onnxruntime==1.32.0",
    "onnxscript==0.7.2",
    "numpy==2.4.6",
)
#: What the LLM's file is written with.
_TOOLS = ("gguf==0.19.0",)
_HERE = Path(__file__).resolve().parent


def stand_ins() -> Path:
    """A directory with each repository at ``OWNER/NAME``; made the first time (seconds, after the environment).

    Raises RuntimeError with the words of the program that could not make them.
    """
    return _kept(
        "stand-ins", lambda target: run([str(reference_python()), "-m", "testbed.stand_ins.make", str(target)])
    )


def hub_repos() -> tuple[HubRepo, ...]:
    """The repositories for `testbed.hub`; the reranker answers to its former spelling too."""
    folder = stand_ins()
    former = {RERANKER: (RERANKER_ASKED,)}
    return tuple(
        HubRepo(name, folder / name, former_names=former.get(name, ()))
        for name in (SARASHINA, RERANKER, *YOMITOKU, LLM)
    )


def yomitoku_wheel() -> Path:
    """The wheel of the stand-in package; made the first time. Raises RuntimeError with pip's words."""
    return next(_kept("yomitoku-wheel", _make_wheel).glob("*.whl"))


def yomitoku_package() -> Path:
    """The same, installed in a directory for ``PYTHONPATH``."""
    return _kept("yomitoku-package", lambda target: shutil.unpack_archive(yomitoku_wheel(), target, "zip"))


def environment() -> dict[str, str]:
    """The variables with which the reference interpreter finds the service's packages, this one and YomiToku's."""
    places = (site_packages((*PACKAGES, *_TOOLS)), _HERE.parents[1], yomitoku_package())
    offline = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "PYTHONDONTWRITEBYTECODE": "1"}
    return {**os.environ, **offline, "PYTHONPATH": os.pathsep.join(map(str, places))}


def run(command: list[str]) -> str:
    """Run a program in that environment; its output. Raises RuntimeError with the end of its words."""
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[:5])} ended with {done.returncode}:\n{done.stderr.strip()[-4000:]}")
    return done.stdout


def _make_wheel(target: Path) -> None:
    options = ["--no-deps", "--no-build-isolation", "--quiet", "--wheel-dir", str(target)]
    # A copy: the build backend takes what lies beside the sources for a part of them.
    with tempfile.TemporaryDirectory() as scratch:
        source = shutil.copytree(_HERE / "yomitoku_package", Path(scratch) / "yomitoku_package")
        command = [sys.executable, "-m", "pip", "wheel", *options, str(source)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"pip could not build the stand-in of yomitoku:\n{done.stderr.strip()[-4000:]}")


def _kept(name: str, make: Callable[[Path], object]) -> Path:
    """What ``make`` leaves at the path that it is given, kept until one of these sources changes."""
    target = cache_folder() / f"{name}-{_key()}"
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.is_dir():
            with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{name}-") as scratch:
                make(Path(scratch) / "content")
                (Path(scratch) / "content").rename(target)
    return target


def _key() -> str:
    """Of all that they are made by."""
    digest = hashlib.sha256("\n".join((*PACKAGES, *_TOOLS)).encode())
    for path in sorted(_HERE.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(f"{path.relative_to(_HERE)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:12]
