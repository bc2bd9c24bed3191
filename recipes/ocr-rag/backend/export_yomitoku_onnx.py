"""A step of the build: YomiToku's models as ONNX.

    python -m backend.export_yomitoku_onnx

The library makes an export when it is first asked for one, in its own package, where a service may not write. ``onnx`` in the
package is a link to ``/app/yomitoku_onnx``, which this fills. An export is named by its snapshot's commit, since each
model is named by its path here as in the service.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from backend.errors import ServiceError, run
from backend.settings import Settings
from backend.yomitoku_models import DETECTOR, LAYOUT, RECOGNIZER, TABLES, write_configs


def main() -> int:
    """Load each model as ONNX, which exports it."""
    # Here, so that a missing directory is told at once: the import takes seconds.
    import yomitoku  # noqa: PLC0415
    from yomitoku.constants import ROOT_DIR  # noqa: PLC0415

    target = Path(ROOT_DIR, "onnx")
    target.resolve().mkdir(parents=True, exist_ok=True)
    models = (DETECTOR, RECOGNIZER, LAYOUT, TABLES)
    cache = Settings.from_environment().yomitoku_dir
    with tempfile.TemporaryDirectory() as folder:
        for model, arguments in write_configs(models, cache, Path(folder)).items():
            getattr(yomitoku, model.part)(**arguments, device="cpu", infer_onnx=True)
            export = target / f"{model.snapshot(cache).name}.onnx"
            if not export.is_file():
                raise ServiceError(f"the library made no export of {model.repo} at {export}")
            print(f"{export.resolve()}: {model.repo}")
    return 0


if __name__ == "__main__":
    run(main)
