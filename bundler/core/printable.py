"""Text for a terminal out of what others wrote: names on a medium, words of a bundle, lines of a program."""

from __future__ import annotations


def printable(text: str, keep: str = "\n\t") -> str:
    """``text`` with all that would steer a terminal, or turn its lines around, as escapes; ``keep`` stays as it is."""
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() or letter in keep else letter.encode("unicode_escape").decode()
        for letter in text
    )
