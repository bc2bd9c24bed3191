"""Elements of HTML and SVG. What is not markup already is escaped, and nobody has to remember it."""

from __future__ import annotations

import html
import re
from typing import Union

_SPACE = re.compile(r"[ \t\r\n]+")
_VOID = frozenset({"meta", "br"})


class Markup(str):
    """Text that is HTML; made by the functions of this page alone."""

    __slots__ = ()


Content = Union[str, Markup]


def safe(text: str) -> str:
    """``text`` on one line, with what cannot be seen or turns lines around made visible: controls, bidi, halves."""
    flat = _SPACE.sub(" ", text)
    return "".join(letter if letter.isprintable() else f"\\u{ord(letter):04x}" for letter in flat)


def escaped(content: Content) -> Markup:
    """The content as HTML: text is made safe and escaped, markup stays."""
    return content if isinstance(content, Markup) else Markup(html.escape(safe(content), quote=True))


def joined(*contents: Content) -> Markup:
    """One after the other."""
    return Markup("".join(map(escaped, contents)))


def el(name: str, /, *contents: Content, **attributes: str) -> Markup:
    """An element; an underscore at the end of an attribute's name is dropped, others become hyphens."""
    written = "".join(f' {key.rstrip("_").replace("_", "-")}="{escaped(value)}"' for key, value in attributes.items())
    if name in _VOID:
        return Markup(f"<{name}{written}>")
    return Markup(f"<{name}{written}>{joined(*contents)}</{name}>")


def raw(text: str) -> Markup:
    """Text of this program that is HTML as it stands, such as its style."""
    return Markup(text)
