"""Compose files, recipes and other YAML: what services start with and are told, what is mounted over models."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from bundler.builder.source_policy.environment import Surroundings, judge_variable
from bundler.builder.source_policy.findings import Spot
from bundler.builder.source_policy.hosts import model_host
from bundler.builder.source_policy.places import judge_mount
from bundler.builder.source_policy.rules import HUB_URL, NOT_READ
from bundler.builder.source_policy.shell import script_spots, scripts_called, words_spots
from bundler.builder.source_policy.shell_words import ShellCommand, ShellFault, read_commands
from bundler.builder.yaml_source import Location, YamlFault, YamlSource, read_yaml

_SERVICES = re.compile(rb"^services\s*:", re.MULTILINE)
# What says something about an image or a service, and is not used by it.
_SAID = ("labels", "build", "image", "logging", "deploy", "x-homepage")
_VALUE = re.compile(r"^\s*(?:-\s+)?(?:(?P<key>[\w.\"'/-]+)\s*:\s+)?(?P<value>\S+)\s*(?:#.*)?$")


def is_compose(content: bytes) -> bool:
    """Whether the text describes services."""
    return _SERVICES.search(content) is not None


def compose_spots(content: bytes, surroundings: Surroundings) -> Iterator[Spot]:
    """Everything that is found in a compose file."""
    try:
        source = read_yaml(content, "")
    except YamlFault as fault:
        yield unread(fault)
        return
    for name, service in _services(source.document):
        yield from _Service(source, ("services", name), service, surroundings).spots()


def unread(fault: YamlFault) -> Spot:
    """The finding for YAML that is none."""
    line = fault.problem.where.rpartition(":")[2]
    return Spot(NOT_READ, int(line) if line.isdigit() else 1, 1, fault.problem.what)


def yaml_spots(text: str) -> Iterator[Spot]:
    """Addresses of model hosts as values of any YAML, read line by line: templates are YAML only when filled in."""
    for number, line in enumerate(text.splitlines(), start=1):
        matched = _VALUE.match(line)
        host = model_host(matched["value"]) if matched and not matched["value"].startswith("#") else None
        if host is not None:
            yield Spot(HUB_URL, number, line.find("://") + 1, f"an address of {host}")


def recipe_facts(content: bytes) -> tuple[tuple[str, ...], dict[str, str]]:
    """Paths of the models, and the variables, of a recipe; nothing where it cannot be read, which `build` says."""
    try:
        document = read_yaml(content, "").document
    except YamlFault:
        return (), {}
    if not isinstance(document, Mapping):
        return (), {}
    models, variables = document.get("models"), document.get("environment")
    listed = [each for each in models if isinstance(each, Mapping)] if isinstance(models, tuple) else []
    paths = tuple(str(each["path"]) for each in listed if "path" in each)
    return paths, {str(key): str(value) for key, value in variables.items()} if isinstance(variables, Mapping) else {}


def recipe_spots(content: bytes) -> Iterator[Spot]:
    """Variables of a recipe that put libraries online."""
    try:
        source = read_yaml(content, "")
    except YamlFault as fault:
        yield unread(fault)
        return
    for name, value in recipe_facts(content)[1].items():
        verdict = judge_variable(name, value)
        if verdict is not None:
            yield Spot(verdict[0], _line(source, ("environment", name)), 1, verdict[1])


def service_facts(content: bytes) -> tuple[dict[str, str], frozenset[str]]:
    """Variables that services get, and base names of what they start."""
    try:
        document = read_yaml(content, "").document
    except YamlFault:
        return {}, frozenset()
    variables: dict[str, str] = {}
    scripts: set[str] = set()
    for _, service in _services(document):
        variables.update((name, value) for name, value, _ in _variables(service.get("environment")))
        for key in ("entrypoint", "command"):
            scripts.update(scripts_called(ShellCommand(tuple(each), 1, 1) for each in _lines(service.get(key))))
    return variables, frozenset(scripts)


def _services(document: object) -> Iterator[tuple[str, Mapping[str, object]]]:
    services = document.get("services") if isinstance(document, Mapping) else None
    if isinstance(services, Mapping):
        yield from ((str(name), each) for name, each in services.items() if isinstance(each, Mapping))


def _lines(value: object) -> list[list[str]]:
    """The command lines of a `command:` or `entrypoint:`, each as its words."""
    if isinstance(value, (list, tuple)):
        return [[str(each) for each in value]]
    if isinstance(value, str):
        try:
            return [list(each.words) for each in read_commands(value)]
        except ShellFault:
            return [value.split()]
    return []


def _variables(value: object) -> Iterator[tuple[str, str, str | int]]:
    """Name, value and key of each variable, from a mapping or a list of ``NAME=VALUE``."""
    if isinstance(value, Mapping):
        yield from ((str(name), "" if each is None else str(each), str(name)) for name, each in value.items())
    elif isinstance(value, (list, tuple)):
        for index, each in enumerate(value):
            name, equals, text = str(each).partition("=")
            if equals:
                yield name, text, index


class _Service:
    """One service and its rules."""

    def __init__(
        self, source: YamlSource, at: Location, service: Mapping[str, object], surroundings: Surroundings
    ) -> None:
        self._source = source
        self._at = at
        self._service = service
        self._surroundings = surroundings

    def spots(self) -> Iterator[Spot]:
        yield from self._of_commands()
        yield from self._of_health()
        for name, value, key in _variables(self._service.get("environment")):
            verdict = judge_variable(name, value)
            if verdict is not None:
                yield self._spot(*verdict, "environment", key)
        for target, told, location in self._mounts():
            for rule, what in judge_mount(target, told, self._surroundings):
                yield self._spot(rule, what, *location)
        yield from self._addresses(self._service, ())

    def _of_commands(self) -> Iterator[Spot]:
        """The entrypoint and the command are one line, as the engine joins them."""
        entry, command = _lines(self._service.get("entrypoint")), _lines(self._service.get("command"))
        line = self._line("command" if command else "entrypoint")
        if command and command[0] and (not entry or not entry[0]) and command[0][0].startswith("-"):
            entry = [[str(self._service.get("image", "image")).rpartition("/")[2]]]
        lines = [[*entry[0], *command[0]], *command[1:]] if entry and command else [*entry, *command]
        for words in lines:
            yield from words_spots(words, line, 1, self._surroundings)

    def _of_health(self) -> Iterator[Spot]:
        health = self._service.get("healthcheck")
        test = health.get("test") if isinstance(health, Mapping) else None
        line = self._line("healthcheck", "test")
        if isinstance(test, (list, tuple)) and test and test[0] == "CMD":
            yield from words_spots([str(each) for each in test[1:]], line, 1, self._surroundings)
        elif isinstance(test, str) or (isinstance(test, (list, tuple)) and test[:1] == ("CMD-SHELL",)):
            text = test if isinstance(test, str) else " ".join(str(each) for each in test[1:])
            spots = script_spots(text, self._surroundings, line=line)
            yield from (Spot(each.rule, line, 1, each.what, each.remedy) for each in spots)

    def _mounts(self) -> Iterator[tuple[str, str, tuple[str | int, ...]]]:
        """Target, what it is, and where it stands."""
        for key, told in (("volumes", "a volume"), ("tmpfs", "a tmpfs")):
            given = self._service.get(key)
            for index, each in enumerate(given if isinstance(given, (list, tuple)) else [given] if given else []):
                if isinstance(each, Mapping):
                    yield str(each.get("target", "")), f"a {each.get('type', 'volume')}", (key, index)
                elif isinstance(each, str):
                    parts = each.split(":")
                    target = parts[0] if key == "tmpfs" or len(parts) == 1 else parts[1]
                    yield target, told, (key, index)

    def _addresses(self, value: object, at: Location) -> Iterator[Spot]:
        if isinstance(value, Mapping):
            for key, each in value.items():
                if not (not at and key in (*_SAID, "environment", "command", "entrypoint", "healthcheck")):
                    yield from self._addresses(each, (*at, str(key)))
        elif isinstance(value, (list, tuple)):
            for index, each in enumerate(value):
                yield from self._addresses(each, (*at, index))
        elif isinstance(value, str) and not re.search(r"\s", value):
            host = model_host(value)
            if host is not None:
                yield self._spot(HUB_URL, f"an address of {host}", *at)

    def _spot(self, rule: str, what: str, *location: str | int) -> Spot:
        return Spot(rule, self._line(*location), 1, what)

    def _line(self, *location: str | int) -> int:
        return _line(self._source, (*self._at, *location))


def _line(source: YamlSource, location: Sequence[str | int]) -> int:
    return int(source.where(location).rpartition(":")[2] or 1)
