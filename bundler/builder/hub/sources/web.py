"""The client for documents: model data, small texts, LFS batches. Files are the downloaders' part, with another one.

It is httpx2, because huggingface_hub is: one client of ours stands behind both, so that a proxy, an authority and a
timeout are the same everywhere. Proxies come from the environment (``HTTPS_PROXY``, ``NO_PROXY``).
"""

from __future__ import annotations

import logging
import threading
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path

import httpx2
from huggingface_hub import set_client_factory
from huggingface_hub.utils import disable_progress_bars, get_session
from huggingface_hub.utils import logging as hub_logging

from bundler.builder.hub.downloaders.proxies import require_spoken_proxies
from bundler.builder.hub.downloaders.trust import trusting

TIMEOUT_S = 20.0
_lock = threading.Lock()
_current: list[tuple[Path | None, float]] = []


def web(ca_bundle: Path | None = None, timeout_s: float = TIMEOUT_S) -> httpx2.Client:
    """The client that all threads share; it waits ``timeout_s`` for a connection and for each next byte.

    ``ca_bundle`` is trusted beside what is trusted anyway. Raises PreconditionError where it cannot be used.
    """
    with _lock:
        if _current != [(ca_bundle, timeout_s)]:
            require_spoken_proxies()
            context = trusting(ca_bundle)

            def client() -> httpx2.Client:
                # What a server wants to be shown again is nobody else's matter: a cookie goes to all ports of a host.
                forgetful = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
                return httpx2.Client(verify=context, follow_redirects=True, timeout=timeout_s, cookies=forgetful)

            set_client_factory(client)
            disable_progress_bars()
            hub_logging.set_verbosity(logging.ERROR)
            _current[:] = [(ca_bundle, timeout_s)]
    return get_session()
