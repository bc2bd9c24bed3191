"""A step of the build: copy the reranker's custom code to where the library runs it from.

    python -m backend.fill_module_cache

The library copies such code to ``HF_MODULES_CACHE`` when it loads a model, by the directory's name and a digest of the
sources. Done here once, with the image's own release, the service finds it there and needs no place to write.
"""

from __future__ import annotations

import os
from pathlib import Path

from backend.errors import ModelError, ServiceError, run
from backend.settings import Settings


def main() -> int:
    """Load the model once, with its weights: what is copied is what a load asks for."""
    directory = Settings.from_environment().reranker_dir
    cache = os.environ.get("HF_MODULES_CACHE")
    if not cache:
        raise ServiceError("HF_MODULES_CACHE is not set: it names the directory to be filled")
    if not (directory / "config.json").is_file():
        raise ModelError(directory, "no config.json there")
    # A model without custom code leaves it empty, and is built too.
    Path(cache).mkdir(parents=True, exist_ok=True)
    # Here, so that what is missing is told at once: the import takes seconds.
    from transformers import AutoModelForSequenceClassification, AutoTokenizer  # noqa: PLC0415

    AutoTokenizer.from_pretrained(str(directory), local_files_only=True, trust_remote_code=True)
    AutoModelForSequenceClassification.from_pretrained(str(directory), local_files_only=True, trust_remote_code=True)
    for path in sorted(Path(cache).rglob("*.py")):
        print(path)
    return 0


if __name__ == "__main__":
    run(main)
