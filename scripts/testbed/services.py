"""Real software that services are made of, for containers that run it: a Debian 12, and directories to be mounted in it.

PostgreSQL, Redis and curl come with the root file system; Python's libraries stand beside it in the cache and are mounted,
since an image with torch in it would take longer to bring into an engine than all that is run of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from testbed.debian import Prepared, rootfs
from testbed.libraries import site_packages
from testbed.reference import reference_packages
from testbed.weights import minilm

#: Of Debian 12, the Python of that release being 3.11.
DEBIAN_PACKAGES = ("ca-certificates", "curl", "postgresql", "python3", "redis-server")
PYTHON = "3.11"
_CLIENTS = ("requests==2.34.2", "httpx==0.28.1", "huggingface_hub==2.4.0", "hf_xet==1.8.0")
_SERVERS = ("uvicorn==0.54.0", "gunicorn==27.0.1", "psycopg[binary]==3.3.9", "redis==8.1.0", "async-timeout==5.0.1")
#: numpy, safetensors and tokenizers at the releases of the quickstart's requirements.txt.
_MODELS = ("onnx==1.23.2", "onnxruntime==1.32.0", "numpy==2.4.6", "safetensors==0.8.0", "tokenizers==0.23.3")

#: Where they are mounted: the libraries, torch with sentence-transformers and what else it needs, the quickstart.
LIBRARIES, REFERENCE, QUICKSTART = "/opt/libraries", "/opt/reference", "/app"
MODEL = f"{QUICKSTART}/models/minilm"
_RECIPE = Path(__file__).resolve().parents[2] / "recipes" / "quickstart"


def services_rootfs() -> Prepared:
    """The root file system as a tar; two minutes the first time. Raises TestbedError where it cannot be made."""
    return rootfs("bookworm", DEBIAN_PACKAGES)


def service_mounts() -> Mapping[str, Path]:
    """Directories by their paths in the container; downloads 100 MB the first time, and the reference environment.

    Raises RuntimeError with pip's own words where they cannot be had.
    """
    return {
        LIBRARIES: site_packages((*_CLIENTS, *_SERVERS, *_MODELS), PYTHON),
        REFERENCE: reference_packages(PYTHON),
        f"{QUICKSTART}/service": _RECIPE / "service",
        f"{QUICKSTART}/texts": _RECIPE / "texts",
        MODEL: minilm(),
    }
