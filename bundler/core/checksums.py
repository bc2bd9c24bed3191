"""Lists of checksums in the form that ``sha256sum -c`` reads: 64 hexadecimal digits, two spaces, a name, a line feed."""

from __future__ import annotations

import re
from collections.abc import Mapping

from bundler.core.digest import Digest
from bundler.core.errors import BundleError
from bundler.core.tarball import require_canonical_name

_LINE = re.compile(r"([0-9a-f]{64})  (.+)")


def render_sums(sums: Mapping[str, Digest]) -> bytes:
    """The list, in the mapping's order; raises ValueError for a name that the form cannot hold unescaped."""
    for name in sums:
        require_canonical_name(name)
    return "".join(f"{digest.hex}  {name}\n" for name, digest in sums.items()).encode()


def parse_sums(content: bytes, where: str) -> dict[str, Digest]:
    """Read a list strictly: what it gives renders to the same bytes. Raises BundleError otherwise."""
    sums: dict[str, Digest] = {}
    try:
        for line in content.decode().split("\n")[:-1]:
            match = _LINE.fullmatch(line)
            if not match or match[2] in sums:
                raise ValueError(f"line {len(sums) + 1} is malformed or names a file twice")  # noqa: TRY301
            sums[match[2]] = Digest(match[1])
        if render_sums(sums) != content:
            raise ValueError("bytes that sha256sum does not write")  # noqa: TRY301
    except ValueError as error:
        raise BundleError(
            f"not a list of checksums: {error}", where=where, remedy="bring the bundle here again"
        ) from error
    return sums
