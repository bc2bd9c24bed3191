"""What remains unproved: what this evidence leaves open, and what no evidence of this kind can show."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bundler.core.check_result import MODELS
from bundler.core.checks import GoldenCheck, ServeCheck
from bundler.core.egress import WEAKER
from bundler.core.report.evidence import MOUNTED, REHEARSAL, Evidence

#: What `docs/offline-proof.md` says at length.
LIMITS = (
    "What a path through the code does that no check took.",
    "What happens after a check's end: the container is ended with it.",
    "Attempts that never become a packet: a program that sees no network and stays quiet.",
    "What would have followed an answer: the first question of a chain is seen, nothing answers it.",
    "What mounts, devices and sockets of a deployment would let a container reach. Checks get none.",
)


@dataclass(frozen=True)
class Gap:
    """Something that is open: ``what``, for headings, and ``why`` it is so or what it means, in a sentence."""

    what: str
    why: str


def gaps_of(evidence: Evidence) -> tuple[Gap, ...]:
    """What this evidence leaves open, the gravest first."""
    return (
        *_of_the_run(evidence),
        *_of_results(evidence),
        *_of_images(evidence),
        *_of_models(evidence),
        Gap("Who made the kit", "It carries no signature: checksums show that it is whole, not whose it is."),
    )


def _of_the_run(evidence: Evidence) -> Iterator[Gap]:
    if evidence.origin == REHEARSAL and not evidence.results:
        yield Gap("The kit as a whole", f"It was not tried where it was built (rehearsal: {evidence.mode}).")
    elif evidence.mode == MOUNTED:
        yield Gap("The finished images", "Checks ran in images without their models, which were mounted beside them.")
    if evidence.results and evidence.provenance is None:
        yield Gap("When, and in which engine", "The bundler that wrote these papers did not keep it.")
    run = {result.name for result in evidence.results}
    if left := [check.name for check in evidence.manifest.checks if check.name not in run]:
        yield Gap("Checks that were not run", f"The bundle has them, the results do not: {_listed(left)}.")


def _of_results(evidence: Evidence) -> Iterator[Gap]:
    for result in evidence.results:
        if not result.proved_here:
            yield Gap(f"Check {result.name}", f"Not proved here: {result.detail}.")
    weaker: dict[str, list[str]] = {}
    for result in evidence.results:
        if result.no_egress and result.no_egress.proof == WEAKER:
            weaker.setdefault(result.no_egress.why, []).append(result.name)
    for why, names in weaker.items():
        what = f"Whether {_listed(names)} tried to call out"
        yield Gap(what, f"There was no network, so nothing got out, but nobody listened: {why}.")


def _of_images(evidence: Evidence) -> Iterator[Gap]:
    manifest = evidence.manifest
    passed = {result.name for result in evidence.results if result.proved_here and result.passed}
    checked = {check.image for check in manifest.checks}
    served = {check.image for check in manifest.checks if isinstance(check, ServeCheck) and check.name in passed}
    unchecked = [image.reference.familiar for image in manifest.images if _runs(image.kind, image.reference, checked)]
    if unchecked:
        yield Gap("Images that no check runs", f"{_listed(unchecked)}.")
    started = [image.reference for image in manifest.images if image.kind == "app" and image.reference not in served]
    if started:
        names = _listed(reference.familiar for reference in started)
        yield Gap("The start as in production", f"No check of kind serve started and asked {names}.")


def _runs(kind: str, reference: object, checked: object) -> bool:
    return kind != "base" and reference not in checked  # type: ignore[operator]  # a set of references


def _of_models(evidence: Evidence) -> Iterator[Gap]:
    manifest = evidence.manifest
    passed = {result.name for result in evidence.results if result.proved_here and result.passed}
    golden = {
        check.golden.model for check in manifest.checks if isinstance(check, GoldenCheck) and check.name in passed
    }
    if open_ones := [model.name for model in manifest.models if model.name not in golden]:
        why = f"No check of kind golden compared outputs with recorded ones: {_listed(open_ones)}."
        yield Gap("That models compute what they should", why)
    whole = any(result.kind == MODELS for result in evidence.results)
    if manifest.models and not whole:
        yield Gap("That the model files stand in the images", "No result compares them with their locked sha256.")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
