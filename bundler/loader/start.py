"""How ``bundler.pyz`` starts: everything runs out of the archive, and nothing is unpacked to a disk.

Pure Python is imported from the archive by Python itself. The one compiled module (of ``zstandard``) must be a file to
be mapped; it becomes one in memory (``memfd_create(2)``), which no noexec mount and no full disk can refuse. Only where
the kernel forbids that does it stand in a temporary directory, for the moment of being mapped.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader, ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Callable, NoReturn, Optional, Protocol

COMPILED_MODULE = "zstandard.backend_c"
_HOST_PACKAGES = ("site-packages", "dist-packages")


class Archive(Protocol):
    """What is used of ``zipimport.zipimporter``."""

    def get_data(self, pathname: str) -> bytes:
        """The content of a member; raises OSError if there is none."""


class CompiledModuleFinder(MetaPathFinder):
    """Finds the compiled module that fits this very Python among those that the archive carries."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive

    def find_spec(
        self,
        fullname: str,
        path: Optional[Sequence[str]],  # noqa: ARG002 (the signature of finders)
        target: Optional[ModuleType] = None,  # noqa: ARG002 (the signature of finders)
    ) -> Optional[ModuleSpec]:
        """Answer for the compiled module alone, and only if one of this Python, CPU and C library is there."""
        if fullname != COMPILED_MODULE:
            return None
        try:
            # The first suffix names all three: .cpython-39-x86_64-linux-gnu.so
            content = self._archive.get_data(COMPILED_MODULE.replace(".", "/") + EXTENSION_SUFFIXES[0])
        except OSError:
            return None
        return ModuleSpec(fullname, _CompiledModuleLoader(content))


class _CompiledModuleLoader(Loader):
    def __init__(self, content: bytes) -> None:
        self._content = content
        self._inner: Optional[ExtensionFileLoader] = None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        failures = []
        for place in PLACES:
            try:
                with place(self._content) as path:
                    return self._map(spec.name, path)
            except (OSError, ImportError) as error:
                failures.append(str(error))
        raise ImportError(f"{spec.name} cannot be mapped: {'; '.join(failures)}")

    def exec_module(self, module: ModuleType) -> None:
        if self._inner is not None:
            self._inner.exec_module(module)

    def _map(self, name: str, path: str) -> ModuleType:
        self._inner = ExtensionFileLoader(name, path)
        spec = spec_from_file_location(name, path, loader=self._inner)
        if spec is None:
            raise ImportError(f"no module at {path}")
        module: ModuleType = self._inner.create_module(spec)
        return module


@contextmanager
def in_memory(content: bytes) -> Iterator[str]:
    """A path to ``content`` that lies on no file system."""
    if not hasattr(os, "memfd_create"):
        raise OSError("this Python has no memfd_create")
    descriptor = os.memfd_create("bundler-zstd", os.MFD_CLOEXEC)
    with open(descriptor, "wb") as file:  # noqa: PTH123 (a descriptor, not a path)
        file.write(content)
        file.flush()
        yield f"/proc/self/fd/{descriptor}"


@contextmanager
def in_temporary_directory(content: bytes) -> Iterator[str]:
    """A path to ``content`` below ``TMPDIR``, gone again when the block ends: what is mapped needs no name."""
    with tempfile.TemporaryDirectory(prefix="bundler-") as directory:
        path = Path(directory, "module.so")
        path.write_bytes(content)
        yield str(path)


PLACES: Sequence[Callable[[bytes], AbstractContextManager[str]]] = (in_memory, in_temporary_directory)


def prepare(archive: Archive) -> None:
    """Let packages come from ``archive`` and the standard library only; those of the host take no part."""
    sys.path[:] = [path for path in sys.path if not path.rstrip("/").endswith(_HOST_PACKAGES)]
    for name, module in list(sys.modules.items()):
        # A host's .pth files import what they like before any program starts.
        if set(Path(getattr(module, "__file__", None) or "").parts) & set(_HOST_PACKAGES):
            del sys.modules[name]
    sys.meta_path.insert(0, CompiledModuleFinder(archive))
    sys.dont_write_bytecode = True


def main(archive: Archive) -> NoReturn:
    """Start the command line out of ``archive``."""
    prepare(archive)
    from bundler.cli.main import main as command_line  # noqa: PLC0415 (only now do imports come from the archive)

    command_line()
