"""What pydantic found wrong with a value, in a person's words: what is wrong, and what would be right."""

from __future__ import annotations

from difflib import get_close_matches

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from bundler.builder.recipe import (
    BuildSpec,
    ImageBase,
    ImageSpec,
    Location,
    PrepareSpec,
    RecipeDocument,
)
from bundler.builder.recipe_checks import AskSpec, GoldenSpec, LoadBudgetSpec, RunCheckSpec, ServeCheckSpec
from bundler.builder.recipe_models import (
    DirectorySource,
    DownloadSpec,
    EndpointSource,
    GitSource,
    ModelSpec,
    Owner,
    UrlFile,
    UrlsSource,
)
from bundler.builder.yaml_source import YamlSource
from bundler.core.errors import Problem

_MODELS: dict[tuple[str, ...], tuple[type[BaseModel], ...]] = {
    (): (RecipeDocument,),
    ("models",): (ModelSpec,),
    ("models", "owner"): (Owner,),
    ("models", "sources"): (EndpointSource, GitSource, DirectorySource, UrlsSource),
    ("models", "sources", "urls"): (UrlFile,),
    ("download",): (DownloadSpec,),
    ("base",): (BuildSpec, ImageBase),
    ("prepare",): (PrepareSpec,),
    ("apps",): (BuildSpec,),
    ("images",): (ImageSpec,),
    ("checks",): (RunCheckSpec, ServeCheckSpec, LoadBudgetSpec, GoldenSpec),
    ("checks", "ask"): (AskSpec,),
}
_KINDS = {
    dict: "keys and values",
    tuple: "a list",
    str: "text",
    bool: "true or false",
    int: "a number",
    float: "a number",
}
_WANTED = {
    "string_type": ("text", "put it in quotes"),
    "int_type": ("a whole number", "write a whole number without quotes"),
    "tuple_type": ("a list", "write a list: [a, b], or a line `- a` for each"),
    "dict_type": ("keys and values", "write `KEY: VALUE` lines below it"),
    "model_type": ("keys and values", "write `KEY: VALUE` lines below it"),
}
_FORMS = {
    "name": "lower-case letters and digits, joined by '.', '_' or '-'",
    "version": 'letters, digits and . _ + -, in quotes, such as "1.0.0"',
    "revision": "a branch, a tag or a commit, such as main",
    "user": "USER or USER:GROUP, in quotes where they are numbers",
    "sha256": "64 hexadecimal digits, as sha256sum prints them",
    "secrets": "letters, digits and . _ -",
}


def describe(error: ErrorDetails, source: YamlSource) -> Problem:
    """One finding of pydantic as a Problem with its line."""
    location = _in_file(error["loc"])
    where = source.where(location)
    kind, context = error["type"], error.get("ctx", {})
    if kind == "recipe":
        return Problem(where, f"{shown(location)}: {context['what']}", str(context["remedy"]))
    if kind == "missing":
        return Problem(where, f"{shown(location)} is missing", f"add `{location[-1]}:`{_meaning(location)}")
    if kind == "extra_forbidden":
        return Problem(where, f"{shown(location)} is not a key that may stand here", _nearest(location))
    return Problem(where, *_wrong_value(location, kind, error))


def shown(location: Location) -> str:
    """``models[0].path``, as people read it."""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return f"`{text or 'the recipe'}`"


def _in_file(location: Location) -> Location:
    """Without what pydantic adds: the alternative of a union, and the mark of a mapping's key."""
    return tuple(part for part in location if not (isinstance(part, str) and part.startswith(("<", "[key]"))))


def _wrong_value(location: Location, kind: str, error: ErrorDetails) -> tuple[str, str]:
    name, value, context = shown(location), error["input"], error.get("ctx", {})
    if kind in _WANTED:
        wanted, remedy = _WANTED[kind]
        return f"{name} is {_kind_of(value)}, not {wanted}", remedy
    if kind == "literal_error":
        return f"{name} is {value}" if name == "`format`" else f"{name} is {value!r}", f"write {context['expected']}"
    if kind == "string_pattern_mismatch":
        return f"{name} is {value!r}", f"write {_form(location, str(context['pattern']))}"
    if kind in ("string_too_short", "too_short"):
        return f"{name} is empty", "write a value, or remove the key"
    return f"{name}: {error['msg'][:1].lower()}{error['msg'][1:]}", f"it is {value!r} now"


def _kind_of(value: object) -> str:
    if value is None:
        return "empty"
    if isinstance(value, (str, int, float)):
        return f"{value!r}"
    return _KINDS.get(type(value), f"a {type(value).__name__}")


def _form(location: Location, pattern: str) -> str:
    key = next((part for part in reversed(location) if isinstance(part, str)), "")
    if location[-2:-1] in (("env",), ("args",), ("environment",)):
        return "a variable's name: letters, digits and '_', not a digit first"
    return _FORMS.get(key, f"what fits {pattern}")


def _models(location: Location) -> tuple[type[BaseModel], ...]:
    return _MODELS.get(tuple(part for part in location[:-1] if isinstance(part, str)), ())


def _keys(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _nearest(location: Location) -> str:
    keys = [key for model in _models(location) for key in _keys(model)]
    if str(location[-1]) in keys:  # a base that names both an image and a Dockerfile
        return "it does not go with `image:`; a base is either `dockerfile:` and what belongs to it, or `image:`"
    near = get_close_matches(str(location[-1]), keys, n=1, cutoff=0.6)
    return f"did you mean `{near[0]}`?" if near else f"keys here: {', '.join(dict.fromkeys(keys))}"


def _meaning(location: Location) -> str:
    for model in _models(location):
        for name, field in model.model_fields.items():
            if (field.alias or name) == location[-1] and field.description:
                return f" {field.description.rstrip('.')}"
    return ""
