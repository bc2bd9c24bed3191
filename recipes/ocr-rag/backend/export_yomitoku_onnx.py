"""A step of the build: the detector of YomiToku as ONNX.

    python -m backend.export_yomitoku_onnx

The library makes an export when it is first asked for one, in its own package, where a service may not write. ``onnx`` in the
package is a link to ``/app/yomitoku_onnx``, which this fills. An export is named by its snapshot's commit, since the
model is named by its path here as in the service.

The detector alone: the library's own light mode asks for no other, since the rest of its models are faster as PyTorch.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from backend.errors import ServiceError, run
from backend.settings import Settings
from backend.yomitoku_models import DETECTOR, write_configs


def main() -> int:
    """Load the detector as ONNX, which exports it."""
    # Here, so that a missing directory is told at once: the import takes seconds.
    from yomitoku import TextDetector  # noqa: PLC0415
    from yomitoku.constants import ROOT_DIR  # noqa: PLC0415

    target = Path(ROOT_DIR, "onnx")
    target.resolve().mkdir(parents=True, exist_ok=True)
    cache = Settings.from_environment().yomitoku_dir
    with tempfile.TemporaryDirectory() as folder:
        (arguments,) = write_configs([DETECTOR], cache, Path(folder)).values()
        TextDetector(**arguments, device="cpu", infer_onnx=True)
    export = target / f"{DETECTOR.snapshot(cache).name}.onnx"
    if not export.is_file():
        raise ServiceError(f"the library made no export of {DETECTOR.repo} at {export}")
    print(f"{export.resolve()}: {DETECTOR.repo}")
    return 0


if __name__ == "__main__":
    run(main)
