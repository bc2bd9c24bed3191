"""The parts of the page, one function each; what there is nothing to say of gives nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from bundler.core.amounts import human_size, human_time
from bundler.core.bundle_manifest import BundledImage, BundledModel
from bundler.core.check_result import CheckResult
from bundler.core.egress import NOT_TOLD, TRIPWIRE, Attempt
from bundler.core.report.document import image_size, model_size
from bundler.core.report.drawing import drawing, legend
from bundler.core.report.evidence import INSTALL, Evidence
from bundler.core.report.markup import Content, Markup, el, joined
from bundler.core.report.signs import BAD, GOOD, MIXED, sign, status
from bundler.core.report.tables import Column, table
from bundler.core.report.unproved import LIMITS, gaps_of

_KINDS = {"base": "base", "app": "application", "foreign": "of others, as it is"}


def travels(evidence: Evidence) -> Markup:
    """Images, models, payload files."""
    manifest = evidence.manifest
    images = table(
        "Images (sizes as they are unpacked; what images share counts in each)",
        (Column("Image"), Column("Kind"), Column("Models inside"), Column("Size", number=True)),
        (_image_row(image) for image in manifest.images),
    )
    models = table(
        "Models",
        (Column("Model"), Column("From"), Column("Licence"), Column("Size", number=True)),
        (_model_row(model) for model in manifest.models),
    )
    size = human_size(sum(file.size for file in manifest.files))
    files = el("p", f"{_count(len(manifest.files), 'payload file')}, {size}.") if manifest.files else ""
    return el("section", el("h2", "What travels"), images, models if manifest.models else "", files)


def _image_row(image: BundledImage) -> Sequence[Content]:
    size = human_size(image_size(image))
    return (image.reference.familiar, _KINDS[image.kind], ", ".join(image.models) or "none", size)


def _model_row(model: BundledModel) -> Sequence[Content]:
    commit = el("span", "commit ", el("code", model.commit), class_="note") if model.commit else _no_commit()
    place = el("span", "at ", el("code", model.path), class_="note")
    licence: Content = model.license or "none stated: ask its owner"
    return (joined(model.name, place), joined(model.repo_id, commit), licence, human_size(model_size(model)))


def _no_commit() -> Markup:
    return el("span", "no commit: known by the digests of its files", class_="note")


def proved(evidence: Evidence) -> Markup:
    """Every check with its result and its proof."""
    if not evidence.results:
        return el("section", el("h2", "What was proved"), el("p", f"Nothing: rehearsal {evidence.mode}."))
    columns = ("Check", "Result", "Proof that nothing calls out", "Measured")
    rows = (_result_row(result) for result in evidence.results)
    heads = (*map(Column, columns), Column("Time", number=True))
    return el("section", el("h2", "What was proved"), table("", heads, rows))


def _result_row(result: CheckResult) -> Sequence[Content]:
    measured = ", ".join(_measured(key, value) for key, value in result.measured.items())
    name = joined(result.name, el("span", f"kind {result.kind}", class_="note"))
    outcome = joined(_status(result), el("span", result.detail, class_="note"))
    return (name, outcome, _proof(result), measured, human_time(result.seconds) if result.proved_here else "")


def _measured(key: str, value: float) -> str:
    """``cold_s`` is ``cold … s``: units stand in the names of figures."""
    name, _, unit = key.rpartition("_")
    return f"{name} {value:g} s" if unit == "s" and name else f"{key} {value:g}"


def _status(result: CheckResult) -> Markup:
    if not result.proved_here:
        return status(MIXED, "not proved")
    return status(GOOD, "passed") if result.passed else status(BAD, "FAILED")


def _proof(result: CheckResult) -> Content:
    seen = result.no_egress
    if seen is None:
        return "no command was run" if result.proved_here else ""
    if seen.proof != TRIPWIRE:
        return joined(status(MIXED, "weaker"), el("span", f"nobody listened: {seen.why}", class_="note"))
    if seen.attempts:
        return joined(status(BAD, _count(len(seen.attempts), "attempt")), el("span", "listened to", class_="note"))
    allowed = f", {_count(len(seen.allowed), 'call')} to allowed peers" if seen.allowed else ""
    return joined(status(GOOD, "silent"), el("span", f"listened to{allowed}", class_="note"))


def attempts(evidence: Evidence) -> Markup:
    """What was tried, in full; nothing where nothing was."""
    parts = []
    for result in evidence.results:
        seen = result.no_egress
        for caption, found in (
            ("tried to reach", seen and seen.attempts),
            ("may reach, and did", seen and seen.allowed),
        ):
            if found:
                rows = [_attempt_row(attempt) for attempt in found]
                heads = (Column("Where to"), Column("Who"), Column("What it would have meant"))
                numbers = (Column("How often", number=True), Column("First after", number=True))
                parts.append(table(f"What check {result.name} {caption}", (*heads, *numbers), rows))
    return el("section", el("h2", "Attempts to call out"), *parts) if parts else joined()


def _attempt_row(attempt: Attempt) -> Sequence[Content]:
    if attempt.name is not None:
        target: Content = joined("asked for ", el("strong", attempt.name))
        how = f"{attempt.protocol} ({attempt.question}) to {attempt.address}"
    else:
        target = el("strong", attempt.address + ("" if attempt.port is None else f" port {attempt.port}"))
        how = attempt.protocol
    places = [el("span", el("code", told), class_="note") for told in _places(attempt)]
    who = joined(el("code", ", ".join(attempt.processes) or f"process {NOT_TOLD}"), *places)
    where = joined(target, el("span", how, class_="note"))
    return (where, who, attempt.meaning, str(attempt.count), f"{attempt.after_s:.2f} s")


def _places(attempt: Attempt) -> Iterable[str]:
    """The lines of code that it came from, where they were looked for and seen."""
    return dict.fromkeys(place.told for place in attempt.places if place.told)


def start(evidence: Evidence) -> Markup:
    """What was seen of each run, drawn."""
    drawn = []
    for result in evidence.results:
        seen = result.no_egress
        for number, timeline in enumerate(seen.timelines if seen else (), start=1):
            single = seen is not None and len(seen.timelines) == 1
            run = "" if single else f", run {number}"
            tried, allowed = (seen.attempts, seen.allowed) if seen and single else ((), ())
            heading = el("h3", f"{result.name}{run}: {timeline.seconds:.2f} s")
            drawn.append(el("figure", heading, drawing(f"{result.name}{run}", timeline, tried, allowed)))
    if not drawn:
        return joined()
    pause = max(each.pause_s for result in evidence.results if result.no_egress for each in result.no_egress.timelines)
    grain = f"Seen from outside, at least every {pause * 1000:.0f} ms: what lived shorter may be missing."
    return el("section", el("h2", "The start, as it was seen"), el("p", grain, class_="note"), legend(), *drawn)


def unproved(evidence: Evidence) -> Markup:
    """What is open here, and what no such proof shows."""
    gaps = (el("li", sign(MIXED), el("strong", gap.what), gap.why) for gap in gaps_of(evidence))
    limits = el("ul", *(el("li", text) for text in LIMITS), class_="limits")
    return el(
        "section",
        el("h2", "What remains unproved", id="unproved"),
        el("ul", *gaps, class_="gaps"),
        el("h3", "What no such proof can show"),
        limits,
    )


def how(evidence: Evidence) -> Markup:
    """The control, the engine, versions and digests."""
    rows = (joined(el("dt", key), el("dd", value)) for key, value in _facts(evidence))
    return el("section", el("h2", "How it was done"), el("dl", *rows, class_="facts"))


def _facts(evidence: Evidence) -> Iterator[tuple[str, Content]]:
    manifest, origin = evidence.manifest, evidence.provenance
    yield (
        "Results of",
        "the install on that host" if evidence.origin == INSTALL else f"the rehearsal: {_MODES[evidence.mode]}",
    )
    if origin:
        engine = origin.engine
        yield "Checks ended", origin.at
        yield "By", origin.by
        yield (
            "Engine",
            f"{engine.name} {engine.version}, API {engine.api_version}, {engine.store} store, {engine.platform}",
        )
        yield (
            "Its host",
            ", ".join(filter(None, (engine.system, engine.kernel and f"kernel {engine.kernel}"))) or "not told",
        )
    for told in dict.fromkeys(_controls(evidence)):
        yield "Control", told
    if any(result.no_egress and result.no_egress.where_in_code for result in evidence.results):
        yield "Hook", "Python processes ran with bundler's hook, which tells lines of code, and a PYTHONPATH of its own"
    yield "Bundle", f"{manifest.title}, made {manifest.created} by {manifest.created_by}"
    yield "bundle.json", el("code", str(evidence.bundle.digest))
    if evidence.bundle.tar_sum:
        yield f"{manifest.title}.tar", el("code", str(evidence.bundle.tar_sum))
    for image in manifest.images:
        yield image.reference.familiar, el("code", str(image.image_id))


_MODES = {
    "full": "the finished kit was loaded, proved and checked, and removed again",
    "mounted": "checks ran in images without models, which were mounted beside them",
    "off": "off, nothing was run",
}


def _controls(evidence: Evidence) -> Iterator[str]:
    """What was sent on purpose and caught, before the checks."""
    for result in evidence.results:
        if result.no_egress and result.no_egress.proof == TRIPWIRE:
            control = result.no_egress.control
            yield control.told if control else "a packet and a DNS question, caught; that release kept no more of it"


def _count(number: int, what: str) -> str:
    return f"1 {what}" if number == 1 else f"{number} {what}s"
