"""Programs that reach for the network, by their words: what a command line would fetch, and from where."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from bundler.builder.source_policy.command_words import is_python, program_of
from bundler.builder.source_policy.hosts import hosts_in, is_model_host, stays_inside
from bundler.builder.source_policy.rules import FETCHES, REPO_ID, SHELL
from bundler.builder.source_policy.values import names_a_repo

Verdict = tuple[str, str]
_MODEL_OPTIONS = re.compile(r"--(?:[\w-]*[-_])?(?:model|tokenizer)(?:[-_](?:id|path|name|name[-_]or[-_]path|repo))?")
_NOT_MODELS = re.compile(r"--(?:served|model-type).*")
#: By program: the subcommands that fetch. An empty tuple: whatever it is told.
_FETCHING: Mapping[str, tuple[str, ...]] = {
    "hf": ("download", "upload", "sync"),
    "huggingface-cli": ("download", "upload", "scan-cache"),
    "modelscope": ("download",),
    "kaggle": (),
    "gdown": (),
    "git-lfs": (),
    "apt": ("update", "install", "upgrade", "full-upgrade", "download"),
    "apt-get": ("update", "install", "upgrade", "dist-upgrade", "download", "build-dep", "source"),
    "aptitude": ("update", "install", "upgrade"),
    "apk": ("add", "update", "upgrade", "fetch"),
    "yum": ("install", "update", "upgrade"),
    "dnf": ("install", "update", "upgrade", "download"),
    "microdnf": ("install", "update", "upgrade"),
    "conda": ("install", "create", "update"),
    "mamba": ("install", "create", "update"),
    "npm": ("install", "ci", "i", "update"),
    "yarn": ("install", "add"),
    "pnpm": ("install", "add", "i"),
    "npx": (),
    "uvx": (),
    "poetry": ("install", "add", "update"),
    "docker": ("pull", "push"),
    "podman": ("pull", "push"),
    "aria2c": (),
    "axel": (),
    "scp": (),
    "rclone": ("copy", "sync", "copyto", "copyurl"),
}
_PIP = ("install", "download", "wheel")
_GIT = ("clone", "pull", "fetch", "lfs", "submodule", "ls-remote")


def judge_command(words: Sequence[str]) -> Iterator[Verdict]:
    """Every rule that the command breaks where it runs at the start, with what it does."""
    program = program_of(words)
    if not program:
        return
    name, rest = program[0], program[1:]
    if is_python(program) and rest[:1] == ["-m"] and len(rest) > 1:
        name, rest = rest[1], rest[2:]
    plain = [word for word in rest if not word.startswith("-")]
    judge = _SPECIAL.get(name) or (_pip if re.fullmatch(r"pip\d*(?:\.\d+)?", name) else None)
    if judge is not None:
        yield from judge(rest, plain)
    elif name in _FETCHING and not {"--help", "--version", "--offline"} & set(rest):
        fetching = _FETCHING[name]
        if (not fetching and plain) or (plain and plain[0] in fetching):
            yield SHELL, f"{' '.join([name, *plain[: 1 if fetching else 0]])} runs at the start"
    yield from _models(name, rest, plain)


def judge_target(target: str) -> Verdict | None:
    """A redirection to bash's ``/dev/tcp/HOST/PORT``."""
    matched = re.match(r"/dev/(?:tcp|udp)/([^/]+)/", target)
    if matched and not stays_inside(matched[1]):
        return SHELL, f"{target} is a connection to {matched[1]}"
    return None


def _transfer(rest: Sequence[str], plain: Sequence[str]) -> Iterator[Verdict]:
    """curl and wget are innocent where every address is known to stay inside: health checks ask localhost."""
    hosts = [host for word in rest for host in hosts_in(word)]
    if not hosts:
        hosts = [
            re.split(r"[:/]", word)[0] for word in plain if re.match(r"localhost\b|127\.|0\.0\.0\.0|\[::1\]", word)
        ]
    if (not plain and not hosts) or (hosts and all(stays_inside(host) for host in hosts)):
        return
    asked = next((host for host in hosts if not stays_inside(host)), None)
    yield (
        SHELL,
        f"a transfer from {asked}" if asked and "$" not in asked else "a transfer from a host that is not known",
    )


def _git(_rest: Sequence[str], plain: Sequence[str]) -> Iterator[Verdict]:
    inside = any(word.startswith(("/", "file://")) for word in plain[1:2])
    if plain and plain[0] in _GIT and not (plain[0] == "clone" and inside):
        yield SHELL, f"git {plain[0]} runs at the start"


def _pip(rest: Sequence[str], plain: Sequence[str]) -> Iterator[Verdict]:
    if plain and plain[0] in _PIP and "--no-index" not in rest:
        yield SHELL, f"pip {plain[0]} runs at the start"


def _uv(rest: Sequence[str], plain: Sequence[str]) -> Iterator[Verdict]:
    if {"--offline", "--no-index"} & set(rest) or not plain:
        return
    if plain[0] == "pip":
        yield from _pip(rest, plain[1:])
    elif plain[0] in ("sync", "add", "tool", "lock") or (plain[0] == "run" and "--no-sync" not in rest):
        yield SHELL, f"uv {plain[0]} runs at the start"


def _ollama(_rest: Sequence[str], plain: Sequence[str]) -> Iterator[Verdict]:
    if plain[:1] == ["pull"]:
        yield FETCHES, "ollama pull downloads a model"


def _spacy(_rest: Sequence[str], plain: Sequence[str]) -> Iterator[Verdict]:
    if plain[:1] == ["download"]:
        yield FETCHES, "spacy download fetches a model"


def _nltk(_rest: Sequence[str], _plain: Sequence[str]) -> Iterator[Verdict]:
    yield FETCHES, "nltk.downloader fetches data"


def _object_store(rest: Sequence[str], _plain: Sequence[str]) -> Iterator[Verdict]:
    if any(word.startswith(("s3://", "gs://", "https://")) for word in rest):
        yield SHELL, "a transfer from an object store"


_SPECIAL: Mapping[str, Callable[[Sequence[str], Sequence[str]], Iterator[Verdict]]] = {
    "curl": _transfer,
    "wget": _transfer,
    "git": _git,
    "uv": _uv,
    "ollama": _ollama,
    "spacy": _spacy,
    "nltk.downloader": _nltk,
    "aws": _object_store,
    "gsutil": _object_store,
    "s5cmd": _object_store,
    "azcopy": _object_store,
}


def _models(name: str, rest: Sequence[str], plain: Sequence[str]) -> Iterator[Verdict]:
    """Servers that take a model by its name: ``vllm serve org/name``, ``--model-id org/name``."""
    named = [plain[1]] if name == "vllm" and plain[:1] == ["serve"] and len(plain) > 1 else []
    for word, after in zip(rest, [*rest[1:], ""]):
        option, equals, value = word.partition("=")
        if _MODEL_OPTIONS.fullmatch(option) and not _NOT_MODELS.fullmatch(option):
            named.append(value if equals else after)
    for each in dict.fromkeys(named):
        if "/" in each and names_a_repo(each):
            yield REPO_ID, f"{name} gets {each}, which means a repo of the Hub"


def model_hosts_in(words: Sequence[str]) -> Iterator[str]:
    """Model hosts that the command's words lead to; what is only printed leads nowhere."""
    program = program_of(words)
    if program and program[0] in ("echo", "printf", "logger", "say", "log", "warn", "error", "die", "fail"):
        return
    yield from (host for word in words for host in hosts_in(word) if is_model_host(host))
