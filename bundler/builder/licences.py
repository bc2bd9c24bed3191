"""Licences with conditions: which they are, why, and who took them on.

The ids are the Hub's ("Licenses" in its documentation). One that stands on neither list is somebody's own terms, and
wants the same word: nobody has judged it here. What a repo does not state at all is told in the papers, not asked for.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Collection, Iterable, Sequence

from bundler.builder.lock import LockedLicense, LockedModel
from bundler.core.errors import PreconditionError, Problem

_RAIL = "use for certain purposes is forbidden, and whoever gets the model must be told so"
_RESEARCH = "research only"
_OWN = "terms of its maker's own"
#: Which licences have conditions that somebody must take on, each with the reason; the first that fits counts.
CONDITIONS: tuple[tuple[str, str], ...] = (
    (r"(.*[-_. ])?(nc|non-?commercial)([-_. ].*)?", "no commercial use"),
    (r"(.*[-_. ])?nd([-_. ].*)?", "no changed version may be passed on"),
    (r"deepfloyd-if-license|intel-research|h-research|apple-amlr|.*[-_. ]research([-_. ].*)?", _RESEARCH),
    (r"(.*-)?openrail(-m|\+\+)?|bigscience-bloom-rail-1\.0|.*[-_. ]rail([-_. ].*)?", _RAIL),
    (r"llama[-_. ]?\d.*", "Meta's terms: a policy of use, a notice to carry along, a limit of users"),
    (r"gemma.*", "Google's terms: a list of forbidden uses that must be handed on"),
    (r"grok2-community", "xAI's terms: a limit of income, and no training of other models"),
    (r"deepseek.*", "DeepSeek's terms: a list of forbidden uses that must be handed on"),
    (r"(tongyi-)?qwen.*", "Alibaba's terms: research only, or a limit of users"),
    (r"nvidia.*", "NVIDIA's terms"),
    (r"health-ai-developer-foundations.*", "Google's terms: not for clinical use as it is"),
    (r"c-uda", "for computation only"),
    (r"cc", "it does not say which of the Creative Commons licences, some of which forbid commercial use"),
    (r"other", _OWN),
)
#: Licences that ask for nothing beyond notices, or for what stays within free software.
OPEN = frozenset(
    {
        *("apache-2.0", "mit", "afl-3.0", "artistic-2.0", "bsl-1.0", "bsd", "bsd-2-clause", "bsd-3-clause"),
        *("bsd-3-clause-clear", "cc0-1.0", "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0"),
        *("cc-by-sa-4.0", "cdla-sharing-1.0", "cdla-permissive-1.0", "cdla-permissive-2.0", "wtfpl", "ecl-2.0"),
        *("epl-1.0", "epl-2.0", "etalab-2.0", "eupl-1.1", "eupl-1.2", "agpl-3.0", "gfdl", "gpl", "gpl-2.0", "gpl-3.0"),
        *("lgpl", "lgpl-2.1", "lgpl-3.0", "lgpl-lr", "isc", "lppl-1.3c", "ms-pl", "mpl-2.0", "odc-by", "odbl"),
        *("open-mdw", "openmdw-1.0", "osl-3.0", "postgresql", "ofl-1.1", "ncsa", "unlicense", "zlib", "pddl"),
    }
)
_GATED = "the repo is gated: the Hub asks whoever downloads it to agree first"
_UNSTATED = (None, "", "unknown")


def conditions(license: LockedLicense) -> str | None:
    """Why somebody must take this licence on, or None where nobody needs to."""
    found = [_condition(license), _GATED if license.gated else None]
    return "; ".join(each for each in found if each) or None


def licence_id(model: LockedModel) -> str:
    """What a person types to accept the model's licence.

    Its id in the card; for ``other`` its ``license_name``. Where the card says nothing that has conditions and the repo
    is gated, or where the terms have no name, they are the repo's own: ``gated:OWNER/NAME``, ``other:OWNER/NAME``.
    """
    license = model.license
    if license.gated and _condition(license) is None:
        return f"gated:{model.repo_id}"
    if license.id in _UNSTATED:
        return f"unstated:{model.repo_id}"
    if _folded(str(license.id)) == "other":
        return _line(license.name or "") or f"other:{model.repo_id}"
    return _line(str(license.id))


def stated(license: LockedLicense) -> str | None:
    """The licence as its repo calls it: the id of the card, its ``license_name`` where that is ``other``, or None."""
    return license.name or license.id if _folded(license.id or "") == "other" else license.id


def with_acceptance(
    model: LockedModel,
    accepted_by_recipe: Collection[str],
    accepted_on_command_line: Collection[str],
    earlier: LockedModel | None = None,
) -> LockedModel:
    """The model with the record of who took its licence on, None where nobody did or needs to.

    The recipe's word counts as long as it stands there. One that was given on a command line is kept from the lock that
    the model came from, or from ``earlier``, the model in the lock before it, as long as the licence is the same.
    """
    license = model.license
    told = _folded(licence_id(model))
    kept = [each.license for each in (model, earlier) if each is not None and same_terms(each.license, license)]
    accepted: str | None = None
    if conditions(license) is not None:
        if told in map(_folded, accepted_by_recipe):
            accepted = "recipe"
        elif told in map(_folded, accepted_on_command_line) or any(each.accepted == "command line" for each in kept):
            accepted = "command line"
    return model.model_copy(update={"license": license.model_copy(update={"accepted": accepted})})


def same_terms(one: LockedLicense, other: LockedLicense) -> bool:
    """Whether two records speak of the same licence with the same words."""
    return one.model_copy(update={"accepted": None}) == other.model_copy(update={"accepted": None})


def require_accepted(models: Iterable[LockedModel]) -> None:
    """Raise PreconditionError with every model whose licence has conditions that nobody took on."""
    open_ones = [(model, why) for model in models if (why := conditions(model.license)) and not model.license.accepted]
    if not open_ones:
        return
    ids = list(dict.fromkeys(licence_id(model) for model, _ in open_ones))
    count = "a licence has" if len(ids) == 1 else f"{len(ids)} licences have"
    raise PreconditionError(
        f"{count} conditions that nobody has accepted yet",
        where=f"model {open_ones[0][0].name}",
        remedy=f"read them; if you accept them, {_how(ids)}; it is asked once, recipe.lock keeps the answer",
        problems=[_question(model, why) for model, why in open_ones],
    )


def _condition(license: LockedLicense) -> str | None:
    """What the licence itself asks for, leaving aside whether its repo is gated."""
    ids = [] if license.id in _UNSTATED else str(license.id).split(",")  # a card may name several
    closed = [each for each in ids if _folded(each) not in OPEN and _folded(each) not in _UNSTATED]
    if not closed:
        return None
    names = [license.name, *closed] if license.name else closed
    fitting = (why for name in names for pattern, why in CONDITIONS if re.fullmatch(pattern, _folded(name)))
    return next(fitting, _OWN)


def _question(model: LockedModel, why: str) -> Problem:
    license = model.license
    places = dict.fromkeys([_line(license.link or ""), *(text.path for text in license.texts)])
    read = ", ".join(place for place in places if place) or f"the card of {model.repo_id}"
    return Problem(f"model {model.name}, {model.told}", f"licence {licence_id(model)}: {why}", f"stated in {read}")


def _how(ids: Sequence[str]) -> str:
    line = " ".join(f"--accept-licence {shlex.quote(each)}" for each in ids)
    return f"give {line}, or write `accept_licences: {json.dumps(ids, ensure_ascii=False)}` in recipe.yaml"


def _folded(text: str) -> str:
    return _line(text).lower()


def _line(text: str) -> str:
    """In one line, whatever a card holds."""
    return " ".join(text.split())
