"""YomiToku's models: what the library calls each, the repository that it comes from, and where that lies.

They stand in a cache of the Hub's client, ``models--OWNER--NAME/snapshots/COMMIT``, which the library finds by itself where
``HF_HUB_CACHE`` names it. The service does not leave that to it: each model is named by the absolute path of its
snapshot, in a YAML file that the library is given (``path_cfg``). A path that is not there is no name of a repository.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from backend.errors import ModelError


class OcrModelError(ModelError):
    """One of YomiToku's models cannot be used."""


@dataclass(frozen=True)
class YomitokuModel:
    """``part`` is the library's class that loads it, ``name`` what that class calls it."""

    part: str
    name: str
    repo: str

    def snapshot(self, cache: Path) -> Path:
        """The directory of its files. Raises OcrModelError where the cache does not lead to one."""
        if not cache.is_absolute():
            raise OcrModelError(cache, "not an absolute path")
        folder = cache / ("models--" + self.repo.replace("/", "--"))
        reference = folder / "refs" / "main"
        try:
            commit = reference.read_text("utf-8")
        except OSError as error:
            raise OcrModelError(folder, f"no cache of {self.repo}: {reference.name} is not readable") from error
        snapshot = folder / "snapshots" / commit
        if len(commit) != 40 or not snapshot.is_dir():
            raise OcrModelError(folder, f"refs/main leads to no snapshot: {commit!r}")
        return snapshot


_OWNER = "KotaroKinoshita/yomitoku-"
DETECTOR = YomitokuModel("TextDetector", "dbnetv2_1", f"{_OWNER}text-detector-dbnet-v2_1")
RECOGNIZER = YomitokuModel("TextRecognizer", "parseq-large-v4_1", f"{_OWNER}text-recognizer-parseq-large-v4_1")
RECOGNIZER_LITE = YomitokuModel("TextRecognizer", "parseq-tiny-dynw-v4", f"{_OWNER}text-recognizer-parseq-tiny-dynw-v4")
LAYOUT = YomitokuModel("LayoutParser", "rtdetrv2v2", f"{_OWNER}layout-parser-rtdtrv2-v2")
TABLES = YomitokuModel("TableStructureRecognizer", "rtdetrv2", f"{_OWNER}table-structure-recognizer-rtdtrv2-open-beta")
CELLS = YomitokuModel("CellDetector", "rtdetrv2", f"{_OWNER}cell-detector-rtdtrv2-v1")
ALL = (RECOGNIZER, DETECTOR, LAYOUT, TABLES, CELLS, RECOGNIZER_LITE)


def write_configs(models: Iterable[YomitokuModel], cache: Path, folder: Path) -> dict[YomitokuModel, dict[str, str]]:
    """The arguments that make the library load each model from its snapshot; writes the files that they name."""
    found = {}
    for model in models:
        path = folder / f"{model.repo.rpartition('/')[2]}.yaml"
        path.write_text(f"hf_hub_repo: {json.dumps(str(model.snapshot(cache)))}\n", "utf-8")  # JSON is YAML
        found[model] = {"model_name": model.name, "path_cfg": str(path)}
    return found
