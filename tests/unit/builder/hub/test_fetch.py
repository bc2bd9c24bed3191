"""Rounds over sources: who is asked when, what is kept, and what ends a run. The bytes come from memory here."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bundler.builder.hub.digests import Digests, digests_of
from bundler.builder.hub.downloader import Downloader, Order
from bundler.builder.hub.fetch import Fetcher
from bundler.builder.hub.limits import HaltedError, Limits
from bundler.builder.hub.part import Part
from bundler.builder.hub.retry import RetryPolicy, TransientError
from bundler.builder.hub.source import HttpFile, LocalFile, Located
from bundler.builder.hub.store import ModelStore
from bundler.builder.lock import LockedFile, LockedModel
from bundler.builder.recipe_models import ModelSpec
from bundler.core.errors import DownloadError, PreconditionError
from bundler.core.progress import SilentProgress, SilentTask
from tests.support.locked import locked_model

GOOD = b"good content"


@dataclass
class Watch:
    slept: list[float] = field(default_factory=list)

    def now(self) -> float:
        return sum(self.slept)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def chance(self) -> float:
        return 0.5


@dataclass
class Shelf:
    """A source whose answers stand in ``answers``, one a question; the last one stays. Bytes, or what is raised."""

    name: str
    answers: list[bytes | Exception | Path]
    asked: int = 0

    def resolve(self, wanted: ModelSpec) -> LockedModel:
        raise AssertionError("nothing is resolved here")

    def locate(self, model: LockedModel, file: LockedFile) -> Located:
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, DownloadError):
            raise answer
        if isinstance(answer, Path):
            return LocalFile(answer)
        return HttpFile("memory:", {"answer": answer})  # type: ignore[dict-item]  # only carried through


class FromMemory:
    name = "memory"

    def bring(self, order: Order) -> Digests:
        answer = order.remote.headers["answer"]
        if isinstance(answer, Exception):
            raise answer
        order.part.path.write_bytes(answer)  # type: ignore[arg-type]  # bytes, as above
        order.task.advance(len(answer))
        return digests_of(order.part.path, order.file)


class Memory:
    def downloader(self, file: LockedFile, remote: HttpFile, part: Part, attempt: int) -> Downloader:
        return FromMemory()


class Bar(SilentTask):
    """Adds up what is shown."""

    def __init__(self) -> None:
        self.shown = 0

    def advance(self, size: int) -> None:
        assert size >= 0
        self.shown += size


class Heard(SilentProgress):
    def __init__(self) -> None:
        self.notes: list[str] = []
        self.bar = Bar()

    def note(self, text: str) -> None:
        self.notes.append(text)

    def task(self, label: str, total_size: int | None) -> Bar:
        return self.bar


def model(*contents: bytes) -> LockedModel:
    files = tuple(
        LockedFile(
            path=f"file-{number:02}", size=len(content), sha256=hashlib.sha256(content).hexdigest(), git_sha1=None
        )
        for number, content in enumerate(contents)
    )
    return locked_model("tiny", files=files)


@dataclass
class Place:
    cache: Path
    watch: Watch = field(default_factory=Watch)
    heard: Heard = field(default_factory=Heard)

    def fetcher(self) -> Fetcher:
        limits = Limits.of(RetryPolicy(attempts=3, first_delay_s=1, jitter=0), clock=self.watch)
        return Fetcher(ModelStore(self.cache), Memory(), limits, self.heard)

    def fetch(self, wanted: LockedModel, *sources: Shelf, reread: bool = False) -> list[bytes]:
        snapshot = self.fetcher().fetch(wanted, sources, reread=reread)
        return [snapshot.path(file).read_bytes() for file in snapshot.model.files]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "cache")


def test_what_a_kill_left_beside_a_file_that_was_kept_goes(place: Place) -> None:
    wanted = model(GOOD)
    place.fetch(wanted, Shelf("hub", [GOOD]))
    part = ModelStore(place.cache).part(wanted.files[0])
    part.path.write_bytes(GOOD)
    part.adopt(len(GOOD), len(GOOD))
    part.path.unlink()
    assert part.journal.exists()
    assert place.fetch(wanted) == [GOOD]
    assert list(part.path.parent.iterdir()) == []


def test_the_first_source_that_gives_it_serves_and_is_named(place: Place) -> None:
    first, second = Shelf("first", [GOOD]), Shelf("second", [GOOD])
    assert place.fetch(model(GOOD), first, second) == [GOOD]
    assert (first.asked, second.asked) == (1, 0)
    assert place.heard.notes == ["tiny: 1 file, 12 bytes, from first (memory)"]


def test_a_round_asks_every_source_before_anybody_waits(place: Place) -> None:
    first, second = Shelf("first", [TransientError("busy")]), Shelf("second", [TransientError("cut"), GOOD])
    assert place.fetch(model(GOOD), first, second) == [GOOD]
    assert (first.asked, second.asked) == (2, 2)
    assert place.watch.slept == [1]


def test_a_source_that_failed_stands_behind_those_that_did_not(place: Place) -> None:
    fetcher = place.fetcher()
    dead, alive = Shelf("dead", [TransientError("no answer")]), Shelf("alive", [GOOD, b"more", GOOD])
    fetcher.fetch(model(GOOD), [dead, alive])
    fetcher.fetch(model(b"more"), [dead, alive])
    assert (dead.asked, alive.asked) == (1, 2)


def test_a_source_that_refuses_is_not_asked_again_for_that_file(place: Place) -> None:
    refuses = Shelf("mirror", [DownloadError("HTTP 404", where="x", remedy="y")])
    last = Shelf("hub", [TransientError("cut"), TransientError("cut"), GOOD])
    assert place.fetch(model(GOOD), refuses, last) == [GOOD]
    assert (refuses.asked, last.asked) == (1, 3)


def test_all_refusals_are_told_when_nobody_is_left(place: Place) -> None:
    one = Shelf("one", [DownloadError("HTTP 404", where="x", remedy="look for it")])
    two = Shelf("two", [DownloadError("HTTP 403: not allowed", where="x", remedy="give a token")])
    with pytest.raises(DownloadError, match="no source gives file-00") as caught:
        place.fetch(model(GOOD), one, two)
    assert [str(problem) for problem in caught.value.problems] == [
        "one: HTTP 404 (look for it)",
        "two: HTTP 403: not allowed (give a token)",
    ]
    assert place.watch.slept == []


def test_one_refusal_is_told_as_it_is(place: Place) -> None:
    one = Shelf("one", [DownloadError("the repo is gated", where="acme/x", remedy="accept its terms")])
    with pytest.raises(DownloadError, match="model tiny: the repo is gated") as caught:
        place.fetch(model(GOOD), one)
    assert caught.value.remedy == "accept its terms"


def test_a_wrong_digest_is_tried_once_more_from_zero_and_then_refused(place: Place) -> None:
    shelf = Shelf("liar", [b"bad! content"])
    with pytest.raises(DownloadError, match="came twice with another digest"):
        place.fetch(model(GOOD), shelf)
    assert shelf.asked == 2
    assert place.fetch(model(GOOD), Shelf("liar once", [b"bad! content", GOOD])) == [GOOD]
    assert place.fetch(model(b"other"), Shelf("liar", [b"wrong"]), Shelf("honest", [b"other"])) == [b"other"]


def test_wrong_bytes_have_no_name_in_the_store(place: Place) -> None:
    with pytest.raises(DownloadError):
        place.fetch(model(GOOD), Shelf("liar", [b"bad! content"]))
    assert [path for path in place.cache.rglob("*") if path.is_file() and path.suffix != ".lock"] == []


def test_the_budget_ends_with_tries_and_cause(place: Place) -> None:
    with pytest.raises(DownloadError, match=r"file-00 did not arrive in 3 attempts \(HTTP 503\)") as caught:
        place.fetch(model(GOOD), Shelf("busy", [TransientError("HTTP 503")]))
    assert "busy" in caught.value.where
    assert place.watch.slept == [1, 2]


def test_what_is_here_is_not_asked_for_and_shown_as_done(place: Place) -> None:
    place.fetch(model(GOOD), Shelf("hub", [GOOD]))
    nobody = Shelf("nobody", [TransientError("asked")])
    assert place.fetch(model(GOOD), nobody) == [GOOD]
    assert nobody.asked == 0
    assert place.heard.bar.shown == 2 * len(GOOD)


def test_what_is_here_is_read_again_where_that_was_asked_for(place: Place) -> None:
    place.fetch(model(GOOD), Shelf("hub", [GOOD]))
    (stored,) = (path for path in (place.cache / "objects").rglob("*") if path.is_file())
    stored.chmod(0o644)
    stored.write_bytes(b"good-content")
    assert place.fetch(model(GOOD), Shelf("hub", [GOOD])) == [b"good-content"], "a plain run trusts its own name"
    assert place.fetch(model(GOOD), Shelf("hub", [GOOD]), reread=True) == [GOOD]


def test_progress_never_passes_what_is_there(place: Place) -> None:
    shelf = Shelf("hub", [b"bad! content", GOOD])
    place.fetch(model(GOOD), shelf)
    assert place.heard.bar.shown == len(GOOD)


def test_a_file_of_this_host_is_copied(place: Place, tmp_path: Path) -> None:
    (tmp_path / "mine").write_bytes(GOOD)
    assert place.fetch(model(GOOD), Shelf("directory", [tmp_path / "mine"])) == [GOOD]
    assert (tmp_path / "mine").read_bytes() == GOOD
    assert place.heard.notes == ["tiny: 1 file, 12 bytes, from directory (copy)"]


def test_the_first_error_stops_the_others_and_keeps_what_they_have(place: Place) -> None:
    waiting = threading.Event()

    class Stubborn(Memory):
        def downloader(self, file: LockedFile, remote: HttpFile, part: Part, attempt: int) -> Downloader:
            return Slow() if file.path == "file-00" else FromMemory()

    class Slow:
        name = "slow"

        def bring(self, order: Order) -> Digests:
            waiting.set()
            fetcher.limits.halt.wait(30)
            fetcher.limits.check()
            raise AssertionError("was not stopped")

    class Refusing(Shelf):
        def locate(self, wanted: LockedModel, file: LockedFile) -> Located:
            if file.path == "file-01":
                assert waiting.wait(30)
                raise DownloadError("HTTP 401", where="x", remedy="y")
            return HttpFile("memory:", {"answer": GOOD})  # type: ignore[dict-item]

    limits = Limits.of(RetryPolicy(), clock=place.watch)
    fetcher = Fetcher(ModelStore(place.cache), Stubborn(), limits, place.heard)
    with pytest.raises(DownloadError, match="HTTP 401"):
        fetcher.fetch(model(GOOD, b"second"), [Refusing("hub", [])])
    with pytest.raises(HaltedError):
        limits.check()


def test_a_full_disk_is_a_precondition_not_a_download(place: Place) -> None:
    class Full(Memory):
        def downloader(self, file: LockedFile, remote: HttpFile, part: Part, attempt: int) -> Downloader:
            class Way:
                name = "full"

                def bring(self, order: Order) -> Digests:
                    raise OSError(28, "No space left on device", str(order.part.path))

            return Way()

    fetcher = Fetcher(ModelStore(place.cache), Full(), Limits.of(RetryPolicy(), clock=place.watch), place.heard)
    with pytest.raises(PreconditionError, match="No space left"):
        fetcher.fetch(model(GOOD), [Shelf("hub", [GOOD])])


def test_many_files_side_by_side(place: Place) -> None:
    contents = [f"content {number}".encode() for number in range(40)]

    class Numbered(Shelf):
        def locate(self, wanted: LockedModel, file: LockedFile) -> Located:
            number = int(file.path.rpartition("-")[2])
            return HttpFile("memory:", {"answer": contents[number]})  # type: ignore[dict-item]

    assert place.fetch(model(*contents), Numbered("hub", [])) == contents
