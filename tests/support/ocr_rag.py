"""The service of the recipe ocr-rag on this host: stand-ins laid out as in its image, and its programs without a network."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from testbed.hub_repo import Snapshot
from testbed.reference import reference_python
from testbed.stand_ins import RERANKER, SARASHINA, YOMITOKU, environment, stand_ins, yomitoku_package

RECIPE = Path(__file__).parents[2] / "recipes" / "ocr-rag"
#: Whatever asks for a name or a connection to another host is noted, and gets an error; also where that is swallowed.
_TRIPWIRE = """
import os, sys
_NAMES = {"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"}
_PEERS = {"socket.connect", "socket.sendto", "socket.sendmsg"}
def _hook(event, arguments):
    # The address of a socket in the file system is a text, that of a peer a tuple.
    if event in _NAMES or (event in _PEERS and isinstance(arguments[1], tuple)):
        with open(os.environ["TRIPWIRE"], "a") as stream:
            stream.write(f"{event} {arguments}\\n")
        raise OSError(f"no network: {event}")
sys.addaudithook(_hook)
"""


@dataclass(frozen=True)
class Image:
    """What stands in the image: the models, the lock, the cache of custom code; and where attempts to call out are noted."""

    root: Path

    @property
    def sarashina(self) -> Path:
        """The embedding model's directory."""
        return self.root / "models" / "sarashina"

    @property
    def reranker(self) -> Path:
        """The reranker's directory."""
        return self.root / "reranker_models" / "llama-nv-reranker"

    @property
    def yomitoku(self) -> Path:
        """The cache with YomiToku's models."""
        return self.root / "models" / "yomitoku"

    @property
    def lock(self) -> Path:
        """The models' lock."""
        return self.root / "recipe.lock"

    @property
    def modules(self) -> Path:
        """The cache of custom code."""
        return self.root / "hf_modules"

    @property
    def packages(self) -> Path:
        """YomiToku's package, its exports a link to a directory outside of it."""
        return self.root / "packages"

    @property
    def exports(self) -> Path:
        """Where the ONNX exports are."""
        return self.root / "yomitoku_onnx"

    @property
    def attempts(self) -> str:
        """Every attempt to call out, a line each."""
        path = self.root / "attempts.txt"
        return path.read_text() if path.exists() else ""

    def environment(self, **more: str) -> dict[str, str]:
        """The image's variables, the packages of the stand-ins, and the tripwire."""
        (self.root / "tripwire").mkdir(exist_ok=True)
        (self.root / "tripwire" / "sitecustomize.py").write_text(_TRIPWIRE)
        found = environment()
        paths = (self.root / "tripwire", self.packages, RECIPE, found["PYTHONPATH"])
        return {
            **found,
            "PYTHONPATH": os.pathsep.join(map(str, paths)),
            "TRIPWIRE": str(self.root / "attempts.txt"),
            "SARASHINA_DIR": str(self.sarashina),
            "RERANKER_DIR": str(self.reranker),
            "YOMITOKU_DIR": str(self.yomitoku),
            "HF_HUB_CACHE": str(self.yomitoku),
            "MODELS_LOCK": str(self.lock),
            "HF_MODULES_CACHE": str(self.modules),
            "HF_HOME": str(self.root / "home"),
            **more,
        }

    def run(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        """A program of the service, with standard input closed."""
        return subprocess.run(
            [str(reference_python()), *arguments],
            env=self.environment(**more),
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def write_lock(self) -> None:
        """Lock what stands there now, as a build would that had got exactly this."""
        models = [
            _locked("sarashina", SARASHINA, self.sarashina),
            _locked("reranker", RERANKER, self.reranker),
            *(_locked(name.rpartition("/")[2], name, self.snapshot(name)) for name in YOMITOKU),
        ]
        self.lock.write_text(json.dumps({"models": models}))

    def snapshot(self, repo: str) -> Path:
        """Where a model of YomiToku lies in the cache."""
        folder = self.yomitoku / ("models--" + repo.replace("/", "--"))
        return folder / "snapshots" / (folder / "refs" / "main").read_text()


def lay_out(root: Path, sarashina: Path | None = None, reranker: Path | None = None) -> Image:
    """An image at ``root`` with the stand-ins, or other models in their places, and their lock; no cache of custom code."""
    image, made = Image(root), stand_ins()
    shutil.copytree(sarashina or made / SARASHINA, image.sarashina)
    shutil.copytree(reranker or made / RERANKER, image.reranker)
    for name in YOMITOKU:
        commit = Snapshot.of(made / name).commit
        folder = image.yomitoku / ("models--" + name.replace("/", "--"))
        shutil.copytree(made / name, folder / "snapshots" / commit)
        (folder / "refs").mkdir()
        (folder / "refs" / "main").write_text(commit)
    shutil.copytree(yomitoku_package(), image.packages)
    shutil.rmtree(image.packages / "yomitoku" / "onnx")
    (image.packages / "yomitoku" / "onnx").symlink_to(image.exports)
    image.write_lock()
    return image


def copy_of(image: Image, root: Path) -> Image:
    """The same once more, for a test that spoils it."""
    shutil.copytree(image.root, root, symlinks=True)
    return Image(root)


def _locked(name: str, repo: str, directory: Path) -> dict[str, object]:
    snapshot = Snapshot.of(directory)
    files = [
        {
            "path": file.path,
            "size": file.size,
            "sha256": file.sha256,
            "git_sha1": None if file.sha256 else file.blob_id,
        }
        for file in snapshot.files.values()
    ]
    return {"name": name, "repo_id": repo, "commit": snapshot.commit, "files": files}
