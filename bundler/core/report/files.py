"""Where a report is put: a page and its JSON beside each other, never in the place of something else."""

from __future__ import annotations

from pathlib import Path

from bundler.core.atomic import write_atomic
from bundler.core.errors import PreconditionError
from bundler.core.kit import require_outside_kits
from bundler.core.report.document import render_json
from bundler.core.report.evidence import Evidence
from bundler.core.report.page import GENERATOR, render_html

_LOOKED_AT = 4096


def write_report(evidence: Evidence, output: Path) -> tuple[Path, Path]:
    """Write both; gives the paths of page and JSON. ``output`` is a directory, or the page's name, ``….html``.

    An older report is replaced. Raises UsageError for a place inside a kit, PreconditionError where something else
    stands there, or it cannot be written.
    """
    page = output if output.suffix == ".html" else output / f"{evidence.manifest.title}-report.html"
    require_outside_kits(page, "--output DIR or --output FILE.html")
    document = page.with_suffix(".json")
    try:
        _require_replaceable(page, f'content="{GENERATOR}"')
        _require_replaceable(document, '"report_version"')
        write_atomic(document, render_json(evidence))
        write_atomic(page, render_html(evidence))
    except OSError as error:
        raise PreconditionError(
            f"the report cannot be written: {error.strerror}",
            where=str(page),
            remedy="name another place with --output DIR or --output FILE.html",
        ) from error
    return page, document


def _require_replaceable(path: Path, mark: str) -> None:
    if not (path.exists() or path.is_symlink()):
        return
    if path.is_file() and not path.is_symlink():
        with path.open(errors="replace") as stream:
            text = stream.read() if path.suffix == ".json" else stream.read(_LOOKED_AT)
        if mark in text:
            return
    raise PreconditionError(
        "something that is not a report stands there",
        where=str(path),
        remedy="move it away, or name another place with --output",
    )
