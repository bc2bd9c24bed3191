"""Addresses in texts: which lead to hosts that hand out models, and which stay on this host."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

#: Hosts that hand out models, and every host below them.
MODEL_HOSTS = (
    "huggingface.co",
    "hf.co",
    "hf-mirror.com",
    "modelscope.cn",
    "modelscope.ai",
    "download.pytorch.org",
    "dl.fbaipublicfiles.com",
    "openaipublic.azureedge.net",
    "openaipublic.blob.core.windows.net",
    "public.ukp.informatik.tu-darmstadt.de",
    "tfhub.dev",
    "civitai.com",
    "kaggle.com",
    "ollama.ai",
    "ollama.com",
    "bcebos.com",
    "api.ngc.nvidia.com",
    "raw.githubusercontent.com",
    "objects.githubusercontent.com",
    "drive.google.com",
)
_URL = re.compile(r"(?:https?|s3|gs|hf|git\+https)://(?:[^\s/@'\"]*@)?(?P<host>\[[0-9A-Fa-f:]+\]|[\w.\-$\{\}\0]+)")
_LOCAL_NAMES = re.compile(r"localhost|[\w-]+|.*\.(?:local|internal|localhost|lan|test)", re.ASCII)


def model_host(text: str) -> str | None:
    """The model host that an address in ``text`` leads to, or None."""
    return next((host for host in hosts_in(text) if is_model_host(host)), None)


def is_model_host(host: str) -> bool:
    """Whether ``host`` hands out models."""
    name = host.lower().rstrip(".")
    return any(name == known or name.endswith(f".{known}") for known in MODEL_HOSTS)


def hosts_in(text: str) -> Iterator[str]:
    """Hosts of the addresses in ``text``, in their order."""
    yield from (matched["host"] for matched in _URL.finditer(text))


def stays_inside(host: str) -> bool:
    """Whether the host is this one, or one that only a private network knows: no dot, ``.internal``, private ranges."""
    name = host.strip("[]").lower()
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return _LOCAL_NAMES.fullmatch(name) is not None
    return address.is_loopback or address.is_private or address.is_unspecified
