"""HTML from Python calls. What is not markup made here is escaped, so no name can become a tag."""

from __future__ import annotations

from html import escape

VOID = ("br", "meta", "path", "line", "rect", "circle")


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def tag(name: str, /, *children: object, **attributes: object) -> Markup:
    """Return an element; attributes None are left out, `class_` is class, `_` becomes `-`.

    >>> str(tag("p", "a < b", class_="soft"))
    '<p class="soft">a &lt; b</p>'
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in VOID and not children:
        return Markup(f"<{name}{written}/>")
    return Markup(f"<{name}{written}>{join(*children)}</{name}>")


def join(*children: object) -> Markup:
    """Return children one after the other, text escaped.

    >>> str(join("<b>", tag("b", 1)))
    '&lt;b&gt;<b>1</b>'
    """
    return Markup(
        "".join(each if isinstance(each, Markup) else escape(str(each)) for each in children)
    )
