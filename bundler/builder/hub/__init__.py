"""Model bytes: where they come from, how they are retried, and how they are checked against the lock."""

from __future__ import annotations

import os


def _import_hub_client() -> None:
    """Let huggingface_hub see one address without credentials, or none.

    It reads ``HF_ENDPOINT`` once, when it is imported, and fails on several (``docs/hub-facts.md``); what bundler makes
    of that variable stands in `bundler.builder.hub.sources.endpoints`, and every call names its server.
    """
    told = os.environ.get("HF_ENDPOINT", "")
    if not any(sign in told.strip() for sign in " ,\t\n@"):
        return
    del os.environ["HF_ENDPOINT"]
    try:
        import huggingface_hub.constants  # noqa: F401, PLC0415 - now, while the variable is away
    finally:
        os.environ["HF_ENDPOINT"] = told


_import_hub_client()
