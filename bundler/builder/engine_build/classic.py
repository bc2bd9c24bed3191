"""Building with the engine's classic builder through the Docker SDK: no mounts, no secrets, no plugin needed."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import IO, Any

from bundler.builder.engine_build.context import IGNORE_FILE, require_free, write_context
from bundler.builder.engine_build.output import Redactor, Transcript, arguments_of, proxies
from bundler.builder.engine_build.values import BuilderJob, BuildOptions
from bundler.core.docker_api import EngineClient, translated
from bundler.core.progress import Progress

#: The generated Dockerfile's name in the context. The engine removes it again, because the ignore file names it.
_GENERATED = ".bundler.Dockerfile"


class Classic:
    """The builder that every Docker engine up to 28 has."""

    kind = "classic"

    def __init__(self, client: EngineClient, options: BuildOptions, work: Path) -> None:
        self._client = client
        self._options = options
        self._work = work

    def build(self, job: BuilderJob, progress: Progress) -> None:
        """Build the job's image under its tag; raises BuildError with the failing step and the end of the output."""
        require_free(job.context, job.files, job.extra)
        transcript = Transcript(job, progress, Redactor(()))
        texts = {_GENERATED: job.dockerfile, IGNORE_FILE: f"{IGNORE_FILE}\n{_GENERATED}\n"}
        with tempfile.TemporaryFile(dir=self._work) as packed:
            write_context(packed, job.context, job.files, job.extra, texts)
            packed.seek(0)
            self._send(job, packed, transcript)

    def _send(self, job: BuilderJob, packed: IO[bytes], transcript: Transcript) -> None:
        arguments = {**proxies(), **arguments_of(job)} if job.shown else {}
        with transcript.repeating(), translated(self._client.address):
            answers = self._client.build(
                fileobj=packed,
                custom_context=True,
                dockerfile=_GENERATED,
                tag=job.tag,
                buildargs=arguments,
                target=job.target or "",
                platform=job.platform,
                network_mode=self._options.network,
                nocache=self._options.no_cache,
                rm=True,
                forcerm=True,
                pull=False,
                decode=True,
                timeout=None,
            )
            for answer in answers:
                _take(answer, transcript)


def _take(answer: dict[str, Any], transcript: Transcript) -> None:
    for line in str(answer.get("stream") or "").splitlines():
        transcript.line(line)
    if "error" in answer or "errorDetail" in answer:
        detail = answer.get("errorDetail") or {}
        raise transcript.failure(str(detail.get("message") or answer.get("error")))
