"""Several ranges of a file side by side, each taken up where it was: the usual way of a file.

Every byte that came is written and journalled, whatever becomes of the attempt. One connection's trouble is its own: it
goes on at once where it had brought something, waits as the policy says where it had not, and the attempt fails when no
connection brings anything any more. A server that knows no ranges is read in one stream from the start.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from bundler.builder.hub.digests import Digests
from bundler.builder.hub.downloader import Order
from bundler.builder.hub.downloaders.hashing import HashingBehind, Remembered
from bundler.builder.hub.downloaders.http import Http
from bundler.builder.hub.downloaders.place import Place
from bundler.builder.hub.downloaders.streams import Streams
from bundler.builder.hub.downloaders.team import Team
from bundler.builder.hub.limits import Limits
from bundler.builder.hub.part import OpenPart

_POLL_S = 0.1


class Ranged:
    """The downloader of that name."""

    name = "ranged"

    def __init__(self, http: Http, limits: Limits) -> None:
        self._http = http
        self._limits = limits
        self._remembered = Remembered()

    def bring(self, order: Order) -> Digests:
        """See `bundler.builder.hub.downloader.Downloader`."""
        file = order.file
        with order.part.opened(file.size) as part:
            digests = self._remembered.of(file, part.nonce, part.here())
            with HashingBehind(part.descriptor, digests, part.prefix) as hashing:
                self._fill(order, part)
                done = hashing.finish()
            self._remembered.forget(part.nonce)
        return done

    def _fill(self, order: Order, part: OpenPart) -> None:
        missing = part.missing()
        if not missing:
            return
        team = Team(missing, min(len(missing), self._limits.connections))
        streams = Streams(Place(self._http, order.remote), self._limits, order.file, part, team)
        told = part.here()
        with ThreadPoolExecutor(team.largest, thread_name_prefix="range") as pool:
            team.begin(lambda: pool.submit(streams.work))
            try:
                while not team.over.wait(_POLL_S):
                    self._limits.check()
                    here = part.here()
                    order.task.advance(here - told)
                    told = here
            finally:
                team.end()
        order.task.advance(part.here() - told)
        team.require_done()
