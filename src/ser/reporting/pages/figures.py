"""Matplotlib's figures as part of a page, in its own colours."""

from __future__ import annotations

import hashlib
import io
import re
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Ids of an SVG, and what refers to them.
_IDS = re.compile(r'(\bid="|href="#|url\(#)')


def inline_svg(figure: Figure, *, label: str) -> Markup:
    """The figure as inline SVG, with `label` for those who do not see it.

    Black becomes the colour of the page's text and white surfaces become the page's, so that the
    figure can be read on a light and on a dark page. A colour that must stay black is "#111111".
    The same figure gives the same text.
    """
    from matplotlib import rc_context

    buffer = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    # Text stays text: it can be searched, and is a tenth as large as its outlines.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "ser"}):
        figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"(stroke|fill): #000000", r"\1: currentColor", svg)
    svg = re.sub(r'(<path[^>]*style="[^"]*)fill: #ffffff', r"\1fill: var(--panel)", svg)
    # Two figures of one page may not share an id.
    mark = hashlib.sha256(svg.encode()).hexdigest()[:8]
    svg = _IDS.sub(rf"\g<1>f{mark}-", svg)
    head = f'<svg class="figure" role="img" aria-label="{escape(label)}" '
    return Markup(svg.replace("<svg ", head, 1))
