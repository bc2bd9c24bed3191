"""What each Python in a check's container imports first, because PYTHONPATH begins with this file's directory there.

It starts the hook, takes every trace of itself out of the way of imports, and gives the name ``sitecustomize`` to the
image's own module. Where there is none, ``site`` hears that as it would without this one. The file is read by every
Python since 2.7: an older one than 3.8 has no audit hooks (PEP 578), and goes on without.

Outside a container, imported under its full name, it does nothing.
"""

if __name__ == "sitecustomize":
    import os
    import sys

    _here = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - pathlib would be loaded for it
    try:
        if hasattr(sys, "addaudithook"):
            __import__("bundler_calls").install(_here)
    except Exception:  # noqa: BLE001, S110 - whatever is wrong here must not be wrong in the service
        pass
    sys.path[:] = [_entry for _entry in sys.path if _entry != _here]
    sys.path_importer_cache.pop(_here, None)
    sys.modules.pop("bundler_calls", None)
    sys.modules.pop("sitecustomize", None)
    __import__("sitecustomize")
