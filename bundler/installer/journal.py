"""The journal of a run: everything is written down before it is begun, so that it can be undone or taken up.

Leaving the block by an error undoes names and payload files. Nameless images go too where the kit was refused; where
the host or the engine failed, or the run was interrupted, they stay for the next run, which need not send them again.
A killed run undoes nothing: the next one finds its journal and does that first. The receipt is what ends a run: once
it carries the run's id, nothing is undone any more.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from bundler.core.digest import Digest
from bundler.core.errors import (
    BundleError,
    BundlerError,
    CheckError,
    Problem,
    SignatureError,
    add_problems,
)
from bundler.core.progress import Progress
from bundler.core.reference import Reference
from bundler.installer import receipts
from bundler.installer.engine import Engine
from bundler.installer.host import Host
from bundler.installer.journal_file import (
    BegunFile,
    BroughtImage,
    Entries,
    MovedName,
    read_entries,
    write_entries,
)
from bundler.installer.prove import ProofError
from bundler.installer.undo import remove_backups, restore_files, restore_names

#: After these nothing that was brought of the kit is kept.
_REFUSED = (BundleError, SignatureError, CheckError, ProofError)


class Journal:
    """What this run, and killed ones before it, brought to one engine and this host. Made by ``open_journal``."""

    def __init__(self, path: Path, kit: str, engine: Engine, entries: Entries) -> None:
        self._path = path
        self._kit = kit
        self._engine = engine
        self._entries = entries

    @property
    def run_id(self) -> str:
        """What the receipt must carry for this run to be finished."""
        return self._entries.run_id

    def begin_run(self) -> None:
        """What follows belongs to a run of its own."""
        self._entries.run_id = _new_run_id()
        self._write()

    @property
    def image_ids(self) -> tuple[Digest, ...]:
        """The nameless images that were brought whole."""
        return tuple(image_id for image_id, image in self._entries.images.items() if image.blobs)

    @property
    def standing_blobs(self) -> frozenset[Digest]:
        """The blobs of the images that were brought whole."""
        return frozenset(blob for image in self._entries.images.values() for blob in image.blobs)

    def claim(self, image_ids: Iterable[Digest]) -> None:
        """What an earlier run brought of these images belongs to this run's kit from now on."""
        for image_id in image_ids:
            if image_id in self._entries.images:
                self._entries.images[image_id].kit = self._kit
        self._write()

    def begin_image(self, image_id: Digest) -> None:
        """An image is about to be brought; one that stood there before bundler came is not ours to remove."""
        if image_id not in self._entries.images and self._engine.find(image_id) is None:
            self._entries.images[image_id] = BroughtImage(self._kit)
            self._write()

    def image_stands(self, image_id: Digest, blobs: Iterable[Digest]) -> None:
        """The image was brought whole, with these blobs."""
        if image_id in self._entries.images:
            self._entries.images[image_id].blobs = tuple(blobs)
            self._write()

    def forget_image(self, image_id: Digest) -> None:
        """Remove a nameless image that this journal holds; another is left alone."""
        if image_id in self._entries.images:
            self._engine.forget([image_id])
            del self._entries.images[image_id]
            self._write()

    def begin_names(self, names: Mapping[Reference, MovedName]) -> None:
        """These names are about to be moved."""
        self._entries.names.update(names)
        self._write()

    def begin_file(self, file: BegunFile, directories: Iterable[Path]) -> None:
        """A payload file is about to be placed, and directories to be made for it."""
        self._entries.files.append(file)
        self._entries.directories += [path for path in directories if path not in self._entries.directories]
        self._write()

    def undo(self) -> None:
        """Put names and payload files back. Raises BundlerError, or OSError, and keeps what could not be put back."""
        restore_names(self._engine, self._entries.names)
        self._entries.names.clear()
        restore_files(self._entries.files, self._entries.directories)
        self._entries.files.clear()
        self._entries.directories.clear()
        self._write()

    def forget_images(self, *, all_kits: bool = False, but: Iterable[Digest] = ()) -> None:
        """Remove what was brought of this kit, or of all, from the engine and from the journal."""
        images, staying = self._entries.images, frozenset(but)
        ours = [image_id for image_id, image in images.items() if all_kits or image.kit == self._kit]
        # The last one brought holds the layers of those before it: it goes first.
        self._engine.forget([image_id for image_id in reversed(ours) if image_id not in staying])
        for image_id in ours:
            del images[image_id]
        self._write()

    def forget_unfinished(self) -> None:
        """Remove images whose load did not end: some engines show them as if they were whole.

        They stay in the journal, since an engine may still be busy with them and show them later. What someone else
        removed meanwhile is no longer counted on either.
        """
        images = self._entries.images
        self._engine.forget([image_id for image_id, image in images.items() if not image.blobs])
        for image_id, image in images.items():
            if image.blobs and self._engine.find(image_id) is None:
                image.blobs = ()
        self._write()

    def finish(self, image_ids: Iterable[Digest]) -> None:
        """The run is done: what it brought beside ``image_ids`` goes, and so do the files that it replaced."""
        self._entries.names.clear()
        remove_backups(self._entries.files)
        self._entries.files.clear()
        self._entries.directories.clear()
        self.forget_images(but=image_ids)

    def _write(self) -> None:
        write_entries(self._path, self._entries)


@contextmanager
def open_journal(host: Host, kit: Path, engine: Engine, engine_id: str, progress: Progress) -> Iterator[Journal]:
    """The journal of installs into that engine; the lock of ``host`` is held.

    What a killed run left half-done is undone first. Raises EngineError or PreconditionError where that fails.
    """
    path = host.journal_path(engine_id)
    found = read_entries(path)
    journal = Journal(path, os.fspath(kit.resolve()), engine, found or Entries(_new_run_id()))
    if found is not None:
        _take_up(journal, host, engine_id, progress)
    try:
        yield journal
    except BaseException as error:
        _abandon(journal, host, engine_id, error)
        raise


def _take_up(journal: Journal, host: Host, engine_id: str, progress: Progress) -> None:
    if _is_recorded(journal, host, engine_id):
        recorded = [receipt for receipt in receipts.current(host, engine_id) if receipt.run_id == journal.run_id]
        journal.finish(image.engine_id for receipt in recorded for image in receipt.images)
    else:
        progress.note("an earlier run did not finish: its names and files are put back, what it brought is taken up")
        journal.undo()
        journal.forget_unfinished()
    journal.begin_run()


def _is_recorded(journal: Journal, host: Host, engine_id: str) -> bool:
    return any(receipt.run_id == journal.run_id for receipt in receipts.current(host, engine_id))


def _abandon(journal: Journal, host: Host, engine_id: str, error: BaseException) -> None:
    """Undo what can be; an error on the way must not hide the one that began it."""
    notes: list[Problem] = []
    try:
        if _is_recorded(journal, host, engine_id):
            return
        journal.undo()
        if isinstance(error, _REFUSED):
            journal.forget_images()
        journal.forget_unfinished()
    except (BundlerError, OSError) as trouble:
        what = trouble.what if isinstance(trouble, BundlerError) else str(trouble)
        notes.append(
            Problem("not yet undone", what, "the next install does it first, or `bundler install --undo` alone")
        )
    if journal.image_ids:
        ids = ", ".join(str(image_id) for image_id in journal.image_ids)
        notes.append(
            Problem(
                "kept without a name",
                f"verified layers, as {ids}",
                "the same command takes them up, `bundler install --undo` removes them",
            )
        )
    add_problems(error, notes)


def _new_run_id() -> str:
    return os.urandom(8).hex()
