"""Checks in ``bundle.json``: rendered, and read again with nothing taken for granted.

Format: ``docs/bundle-format.md``, `checks[]`.
"""

from __future__ import annotations

import json
import re
from typing import Any, Callable

from bundler.core.checks import (
    GOLDEN,
    KINDS,
    LOAD_BUDGET,
    MAX_ARGUMENT_SIZE,
    METHODS,
    RUN,
    SERVE,
    AnyCheck,
    Golden,
    GoldenCheck,
    LoadBudgetCheck,
    Peer,
    Question,
    RunCheck,
    ServeCheck,
    kind_of,
)
from bundler.core.errors import BundleError
from bundler.core.json_fields import Fields

HEADER_NAME = re.compile(r"[!#-'*+.0-9A-Z^_`a-z|~-]+")  # RFC 9110, 5.6.2: a token
_HEADER_VALUE = re.compile(r"[^\r\n\0]*")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
HTTP_PATH = re.compile(r"/[\x21-\x7e]*")


def render_check(check: AnyCheck) -> dict[str, Any]:
    """The form in ``bundle.json``; what says nothing beyond the ordinary is left out, as older bundles have it."""
    return {
        "kind": kind_of(check),
        "name": check.name,
        "image": str(check.image),
        "run": list(check.run),
        "within_s": check.within_s,
        "user": check.user,
        "env": dict(check.env),
        **({"allow": [str(peer) for peer in check.allow]} if check.allow else {}),
        **({"needs_gpu": True} if check.needs_gpu else {}),
        **_render_own(check),
    }


def _render_own(check: AnyCheck) -> dict[str, Any]:
    if isinstance(check, LoadBudgetCheck):
        return {"budget_s": check.budget_s}
    if isinstance(check, GoldenCheck):
        golden = check.golden
        return {
            "tolerance": check.tolerance,
            "golden": {
                "model": golden.model,
                "commit": golden.commit,
                "files": dict(golden.files),
                "reference": golden.reference,
                "inputs": list(golden.inputs),
                "outputs": list(golden.outputs),
            },
        }
    patterns = {"expect": list(check.expect), "forbid": list(check.forbid)}
    if isinstance(check, RunCheck):
        return patterns
    return {
        **patterns,
        "port": check.port,
        "status": check.status,
        "watch_s": check.watch_s,
        "question": _render_question(check.question) if check.question else None,
    }


def _render_question(question: Question) -> dict[str, Any]:
    return {
        "method": question.method,
        "path": question.path,
        "headers": dict(question.headers),
        "body": question.body,
    }


def parse_check(fields: Fields) -> AnyCheck:
    """Read what `render_check` wrote; raises BundleError where it is anything else."""
    kind = fields.text("kind")
    if kind not in KINDS:
        raise BundleError(
            f"a check is of a kind that this bundler does not know: {kind[:40]!r}",
            where=fields.where,
            remedy="use the bundler.pyz that stands in the kit, or a newer bundler",
        )
    common = _common(fields)
    return _PARSERS[kind](fields, common)


def _common(fields: Fields) -> dict[str, Any]:
    return {
        "name": fields.text("name"),
        "image": fields.reference("image"),
        "run": tuple(fields.texts("run")),
        "within_s": fields.seconds("within_s"),
        "user": fields.optional_text("user"),
        "env": fields.texts_by_key("env"),
        "allow": _parse_allow(fields),
        "needs_gpu": fields.optional_flag("needs_gpu") or False,
    }


def _parse_allow(fields: Fields) -> tuple[Peer, ...]:
    try:
        return tuple(Peer.parse(text) for text in fields.optional_texts("allow") or ())
    except ValueError as error:
        raise fields.refused("allow", str(error)) from error


def _parse_run(fields: Fields, common: dict[str, Any]) -> RunCheck:
    return RunCheck(**common, expect=tuple(fields.texts("expect")), forbid=tuple(fields.texts("forbid")))


def _parse_serve(fields: Fields, common: dict[str, Any]) -> ServeCheck:
    question = fields.optional_object("question")
    expect, forbid = tuple(fields.texts("expect")), tuple(fields.texts("forbid"))
    if question is None and (expect or forbid):
        raise fields.refused("question", "patterns are for an answer, and nothing is asked")
    return ServeCheck(
        **common,
        port=_bounded(fields, "port", 1, 65535),
        question=_parse_question(question) if question else None,
        status=_bounded(fields, "status", 100, 599),
        expect=expect,
        forbid=forbid,
        watch_s=fields.duration("watch_s"),
    )


def _parse_question(fields: Fields) -> Question:
    headers = fields.texts_by_key("headers")
    path = fields.text("path", HTTP_PATH)
    if not all(HEADER_NAME.fullmatch(key) and _HEADER_VALUE.fullmatch(value) for key, value in headers.items()):
        raise fields.refused("headers", "should be names and values of HTTP")
    question = Question(fields.choice("method", METHODS), path, headers, fields.optional_text("body"))
    if question.fault:
        raise fields.refused("question", question.fault)
    return question


def _bounded(fields: Fields, key: str, least: int, most: int) -> int:
    value = fields.integer(key)
    if not least <= value <= most:
        raise fields.refused(key, f"{value} is not between {least} and {most}")
    return value


def _parse_load_budget(fields: Fields, common: dict[str, Any]) -> LoadBudgetCheck:
    return LoadBudgetCheck(**common, budget_s=fields.seconds("budget_s"))


def _parse_golden(fields: Fields, common: dict[str, Any]) -> GoldenCheck:
    golden = parse_golden(fields.object("golden"))
    return GoldenCheck(**common, golden=golden, tolerance=fields.duration("tolerance"))


def parse_golden(fields: Fields) -> Golden:
    """Read recorded outputs, of a bundle or of a file; raises BundleError where they are not as described."""
    golden = Golden(
        model=fields.text("model"),
        commit=fields.optional_text("commit", _COMMIT),
        files=fields.texts_by_key("files") if fields.optional_object("files") else {},
        reference=fields.text("reference"),
        inputs=tuple(fields.values("inputs")),
        outputs=tuple(fields.values("outputs")),
    )
    if not all(_SHA256.fullmatch(digest) for digest in golden.files.values()):
        raise fields.refused("files", "should be sha256 as 64 hexadecimal digits, by the path of each file")
    if golden.commit is None and not golden.files:
        raise fields.refused("commit", "neither a commit nor files: nobody can tell which model it is of")
    if not golden.inputs or len(golden.inputs) != len(golden.outputs):
        raise fields.refused("outputs", f"{len(golden.outputs)} for {len(golden.inputs)} inputs; each has one")
    _require_finite(golden, fields)
    return golden


def _require_finite(golden: Golden, fields: Fields) -> None:
    """Numbers that compare with nothing are in no recording, and the inputs are an argument of a command."""
    try:
        json.dumps(golden.outputs, allow_nan=False)
        size = len(golden.argument)
    except (ValueError, RecursionError) as error:
        raise fields.refused("inputs or outputs", f"not of JSON's numbers, or nested too deeply: {error}") from error
    if size > MAX_ARGUMENT_SIZE:
        why = f"{size:,} bytes as an argument, each input twice; a command takes {MAX_ARGUMENT_SIZE:,}"
        raise fields.refused("inputs", why)


_PARSERS: dict[str, Callable[[Fields, dict[str, Any]], AnyCheck]] = {
    RUN: _parse_run,
    SERVE: _parse_serve,
    LOAD_BUDGET: _parse_load_budget,
    GOLDEN: _parse_golden,
}
