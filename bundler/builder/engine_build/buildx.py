"""Building with ``docker buildx`` and its ``docker`` driver, which is BuildKit inside the engine."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from bundler.builder.engine_build.context import require_free, stage_context
from bundler.builder.engine_build.lifeline import on_lifeline
from bundler.builder.engine_build.output import Redactor, Transcript, arguments_of, proxies
from bundler.builder.engine_build.values import BuilderJob, BuildOptions, SecretSource
from bundler.builder.engine_build.workplace import temporary_folder
from bundler.core.errors import BuildError
from bundler.core.progress import Progress

_PROBE_TIMEOUT_S = 60.0


class Buildx:
    """The plugin, bound to one engine by its address."""

    kind = "buildx"

    def __init__(self, address: str, options: BuildOptions, work: Path) -> None:
        self._environment = environment_for(address)
        self._options = options
        self._work = work

    def probe(self) -> tuple[str, tuple[str, ...]] | str:
        """Version and platforms, or why it cannot be used with this engine."""
        version = self._ask("version")
        if version.returncode:
            return "the docker buildx plugin is not installed"
        inspected = self._ask("--builder", "default", "inspect")
        fields = dict(line.split(":", 1) for line in inspected.stdout.splitlines() if ":" in line)
        if inspected.returncode or fields.get("Driver", "").strip() != "docker":
            return f"docker buildx does not work with this engine: {(inspected.stderr or inspected.stdout).strip()}"
        platforms = tuple(each.strip().rstrip("*") for each in fields.get("Platforms", "").split(",") if each.strip())
        return " ".join(version.stdout.split()[1:2]), platforms

    def _ask(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        argv = ["docker", "buildx", *arguments]
        try:
            return subprocess.run(
                argv,
                env=self._environment,
                capture_output=True,
                text=True,
                stdin=subprocess.DEVNULL,
                timeout=_PROBE_TIMEOUT_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return subprocess.CompletedProcess(argv, 127, "", str(error))

    def build(self, job: BuilderJob, progress: Progress) -> None:
        """Build the job's image under its tag; raises BuildError with the failing step and the end of the output."""
        require_free(job.context, job.files, job.extra)
        with temporary_folder(self._work, "build-") as folder:
            staged, generated = folder / "context", folder / "dockerfile" / job.dockerfile_name
            stage_context(staged, job.context, job.files, job.extra)
            generated.parent.mkdir()
            generated.write_text(job.dockerfile, encoding="utf-8")
            # What the ignore file leaves out is left out already; BuildKit must not read it a second time.
            generated.with_name(f"{generated.name}.dockerignore").write_text("")
            argv = [*self._arguments(job), "--file", str(generated), str(staged)]
            self._run(argv, Transcript(job, progress, Redactor(self._options.secrets)))

    def _arguments(self, job: BuilderJob) -> list[str]:
        argv = ["docker", "buildx", "--builder", "default", "build", "--progress=plain", "--load"]
        argv += ["--provenance=false", "--sbom=false", "--pull=false"]
        argv += [f"--platform={job.platform}", f"--tag={job.tag}"]
        argv += [f"--target={job.target}"] if job.target else []
        argv += [f"--network={self._options.network}"] if self._options.network else []
        argv += ["--no-cache"] if self._options.no_cache else []
        if job.shown is None:
            return argv
        # Proxies by name alone: a password in one stays out of the list of processes.
        argv += [f"--build-arg={name}" for name in proxies()]
        argv += [f"--build-arg={name}={value}" for name, value in arguments_of(job).items()]
        used = set(job.shown.secrets)
        return argv + [_secret(each) for each in self._options.secrets if each.id in used]

    def _run(self, argv: list[str], transcript: Transcript) -> None:
        try:
            with transcript.repeating(), on_lifeline(argv, self._environment) as process:
                for line in process.stdout or ():
                    transcript.line(line)
                code = process.wait()
        except OSError as error:
            raise BuildError(
                f"docker cannot be run: {error.strerror}", where=argv[0], remedy="install Docker's command line client"
            ) from error
        if code:
            raise transcript.failure("")


def environment_for(address: str) -> Mapping[str, str]:
    """The environment in which Docker's client speaks to the engine at ``address`` and to no other."""
    kept = {key: value for key, value in os.environ.items() if key not in ("DOCKER_CONTEXT", "BUILDX_BUILDER")}
    return {**kept, "DOCKER_HOST": address, "BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}


def _secret(secret: SecretSource) -> str:
    source = f"src={secret.path}" if secret.path else f"env={secret.variable}"
    return f"--secret=id={secret.id},{source}"
