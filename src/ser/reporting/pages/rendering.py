"""Templates to pages."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

from ser.core.utterance.emotions import COLOURS

#: What a page may load: what is in it.
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "img-src data: blob:; media-src data: blob:"
)


def render(template: str, *, title: str, **context: Any) -> str:
    """The page that a template in `templates/` makes of `context`; what is no Markup is escaped.

    A template extends `base.html` and fills its blocks `lead`, `content` and `script`;
    `macros.html` has what pages share.
    """
    return str(_environment().get_template(template).render(title=title, **context)) + "\n"


@cache
def _environment() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("ser.reporting.pages", "templates"),
        autoescape=True,
        # A name that is misspelt in a template is an error, not an empty place.
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = files("ser.reporting.pages").joinpath("templates/style.css").read_text(encoding="utf-8")
    environment.globals |= {"style": Markup(style), "colours": COLOURS, "policy": POLICY}
    return environment
