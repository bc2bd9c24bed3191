"""From a lock to model files on this host: several files side by side, each from the first source that gives it.

A file is asked for in rounds. In each round every source that may have it is tried once, in the recipe's order; only
when all have failed the policy decides about a pause and another round. What was brought of a file stays between
rounds, runs and sources, since the lock's digest decides about it at the end, whoever sent it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from bundler.builder.hub.arrivals import Arrivals
from bundler.builder.hub.digests import Digests
from bundler.builder.hub.downloader import Downloader, Order
from bundler.builder.hub.limits import HaltedError, Limits
from bundler.builder.hub.local_copy import take_local
from bundler.builder.hub.part import Part
from bundler.builder.hub.retry import ExhaustedError, TransientError, retried
from bundler.builder.hub.source import HttpFile, LocalFile, Source
from bundler.builder.hub.store import ModelStore, StoredFile, storing
from bundler.builder.lock import LockedFile, LockedModel
from bundler.core.errors import DownloadError, Problem
from bundler.core.progress import Progress, Task

_FILES_AT_ONCE = 8
_WRONG_TWICE = 2


class Choice(Protocol):
    """Which downloader brings a file."""

    def downloader(self, file: LockedFile, remote: HttpFile, part: Part, attempt: int) -> Downloader:
        """The one for this attempt (from 1)."""


@dataclass(frozen=True)
class Snapshot:
    """A model on this host: ``model`` with a sha256 for every file, all of them in the store."""

    model: LockedModel
    store: ModelStore

    def path(self, file: LockedFile) -> Path:
        """Where ``file`` of the model stands."""
        return self.store.path(str(file.sha256))


@dataclass(frozen=True)
class Fetcher:
    """Brings models into the store."""

    store: ModelStore
    choice: Choice
    limits: Limits
    progress: Progress
    #: Sources that failed while others did not: asked last from then on.
    failing: Counter[str] = field(default_factory=Counter)

    def here(self, file: LockedFile) -> int:
        """Bytes of the file that need not be brought, those of an unfinished one too."""
        return file.size if self.store.find(file) else min(self.store.part(file).here(), file.size)

    def missing_size(self, model: LockedModel) -> int:
        """Bytes that are still to be brought."""
        return sum(file.size - self.here(file) for file in model.files)

    def fetch(self, model: LockedModel, sources: Sequence[Source], *, reread: bool = False) -> Snapshot:
        """Make every file of ``model`` stand in the store; ``reread`` compares those that are here with their digests.

        Raises DownloadError that names the model, the file and the number of tries; what was brought is kept.
        """
        arrivals = Arrivals(model.name)
        with storing(self.store.root), self.progress.task(model.name, model.size) as task:
            fetches = [_FileFetch(self, model, file, sources, task, arrivals, reread) for file in model.files]
            stored = self._side_by_side(fetches)
        for line in arrivals.told() or [f"{model.name}: every file was here"]:
            self.progress.note(line)
        files = (
            file.model_copy(update={"sha256": each.sha256}) for file, each in zip(model.files, stored, strict=True)
        )
        return Snapshot(model.model_copy(update={"files": tuple(files)}), self.store)

    def _side_by_side(self, fetches: Sequence[Callable[[], StoredFile]]) -> list[StoredFile]:
        """All of them, or the first error; the others are stopped then, and keep what they have."""
        with ThreadPoolExecutor(_FILES_AT_ONCE, thread_name_prefix="fetch") as pool:
            # The largest first would be quicker by little; in the order of the lock the output reads like it.
            running = [pool.submit(each) for each in fetches]
            try:
                wait(running, return_when=FIRST_EXCEPTION)
            finally:
                if not all(each.done() and not each.cancelled() and each.exception() is None for each in running):
                    self.limits.halt.set()
                    pool.shutdown(cancel_futures=True)
            errors = [each.exception() for each in running if each.done() and not each.cancelled()]
            for error in errors:
                if error is not None and not isinstance(error, HaltedError):
                    raise error
            return [each.result() for each in running]


class _FileFetch:
    """One file, until it is here."""

    def __init__(
        self,
        fetcher: Fetcher,
        model: LockedModel,
        file: LockedFile,
        sources: Sequence[Source],
        task: Task,
        arrivals: Arrivals,
        reread: bool,
    ) -> None:
        self._fetcher = fetcher
        self._model = model
        self._file = file
        self._sources = list(sources)
        self._task = task
        self._arrivals = arrivals
        self._reread = reread
        self._label = f"{model.name}/{file.path}"
        self._part = fetcher.store.part(file)
        self._round = 0
        self._counted = 0
        self._wrong: Counter[str] = Counter()
        self._refusals: list[Problem] = []

    def __call__(self) -> StoredFile:
        self._fetcher.limits.check()
        found = self._here()
        if found is None:
            limits = self._fetcher.limits
            with self._fetcher.store.alone(self._file, self._label, self._fetcher.progress, limits.check):
                found = self._here() or self._bring()
        elif self._part.journal.exists():  # of a run that was killed after it had kept the file
            self._part.discard()
        self._task.advance(self._file.size - self._counted)
        return found

    def _here(self) -> StoredFile | None:
        store = self._fetcher.store
        return store.require(self._file) if self._reread else store.find(self._file)

    def _bring(self) -> StoredFile:
        limits, progress = self._fetcher.limits, self._fetcher.progress
        self._part.path.parent.mkdir(parents=True, exist_ok=True)
        if resumed := self._part.here():
            progress.note(f"{self._label}: {resumed:,} of {self._file.size:,} bytes are here already")
            self._count(resumed)

        def told(number: int, error: TransientError, pause_s: float) -> None:
            progress.note(f"{self._label}: attempt {number} failed ({error}); the next one in {pause_s:.0f} s")

        try:
            return retried(self._try_sources, limits.policy, limits.clock, told, self._part.here)
        except ExhaustedError as error:
            raise self._undelivered(error) from error

    def _try_sources(self) -> StoredFile:
        """One round: the first source that gives the file; the last transient failure if none does."""
        self._round += 1
        failure: TransientError | None = None
        refusal: DownloadError | None = None
        failing = self._fetcher.failing
        for source in sorted(self._sources, key=lambda each: failing[each.name] > 0):
            self._fetcher.limits.check()
            try:
                stored = self._from(source)
            except TransientError as error:
                failing[source.name] += 1
                several = f"{source.name}: " if len(self._sources) > 1 else ""
                failure = TransientError(f"{several}{error}", error.retry_after_s)
            except DownloadError as error:
                self._sources.remove(source)
                self._refusals.append(Problem(source.name, error.what, error.remedy))
                refusal = error
            else:
                failing[source.name] = 0
                return stored
        if failure is not None:
            raise failure
        assert refusal is not None  # noqa: S101 - each source has failed in one of the two ways
        raise self._refused(refusal) from refusal

    def _from(self, source: Source) -> StoredFile:
        located = source.locate(self._model, self._file)
        if isinstance(located, LocalFile):
            return self._take(located, source)
        way = self._fetcher.choice.downloader(self._file, located, self._part, self._round)
        digests = way.bring(Order(self._file, located, self._part, _Counting(self)))
        self._require_right(digests, source)
        return self._keep(digests, source, way.name)

    def _take(self, located: LocalFile, source: Source) -> StoredFile:
        self._part.discard()
        digests = take_local(located, self._part.path, self._file)
        self._require_right(digests, source)
        return self._keep(digests, source, "copy")

    def _require_right(self, digests: Digests, source: Source) -> None:
        if digests.fit():
            return
        self._part.discard()
        self._wrong[source.name] += 1
        if self._wrong[source.name] >= _WRONG_TWICE:
            raise DownloadError(
                f"{self._file.path} came twice with another digest or size than the lock has",
                where=f"{self._model.told} at {source.name}",
                remedy="do not trust that source; take another one, or ask who keeps it",
            )
        raise TransientError("what arrived has another digest or size than the locked file, so it begins anew")

    def _keep(self, digests: Digests, source: Source, way: str) -> StoredFile:
        stored = self._fetcher.store.keep(self._part.path, self._file, digests)
        self._part.discard()
        self._arrivals.add(source.name, way, self._file.size)
        return stored

    def _count(self, size: int) -> None:
        """Bytes that are here for the first time: those of another try are not shown twice."""
        step = min(size, self._file.size - self._counted)
        self._counted += step
        self._task.advance(step)

    def _undelivered(self, error: ExhaustedError) -> DownloadError:
        count = f"{error.attempts} attempt{'' if error.attempts == 1 else 's'}"
        limit = "" if error.in_time else " before its deadline"
        return DownloadError(
            f"model {self._model.name}: {self._file.path} did not arrive in {count}{limit} ({error})",
            where=f"{self._model.told} at {', '.join(source.name for source in self._sources)}",
            remedy="run the same command again: it goes on from what is here; or add a mirror by --endpoint",
            problems=self._refusals,
        )

    def _refused(self, error: DownloadError) -> DownloadError:
        if len(self._refusals) == 1:
            return DownloadError(
                f"model {self._model.name}: {error.what}",
                where=f"{self._file.path}, {error.where}",
                remedy=error.remedy,
            )
        return DownloadError(
            f"model {self._model.name}: no source gives {self._file.path}",
            where=self._model.told,
            remedy="mend one of the sources named above, or add another",
            problems=self._refusals,
        )


class _Counting:
    """The model's task, as one file sees it."""

    def __init__(self, fetch: _FileFetch) -> None:
        self._fetch = fetch

    def advance(self, size: int) -> None:
        """``size`` more bytes of the file came."""
        self._fetch._count(size)

    def __enter__(self) -> _Counting:
        return self

    def __exit__(self, *_: object) -> None:
        """The model's task goes on."""
