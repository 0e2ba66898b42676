"""Jinja templates, and how text enters Markdown and HTML without being read as either."""

import html
import re
from functools import lru_cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape


@lru_cache
def environment(package: str) -> Environment:
    """The environment of a package's templates. HTML templates escape what they print, Markdown ones use `md`."""
    templates = Environment(
        loader=PackageLoader(package),
        autoescape=lambda name: bool(name and ".html" in name),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    templates.filters |= {"code": code_html, "md": md, "thousands": lambda number: f"{number:,}"}
    return templates


def md(text: str) -> str:
    """Returns text for a line of Markdown, with HTML escaped except inside `code`, where HTML has no meaning.

    Text that is `Markup` already is returned unchanged.
    """
    if isinstance(text, Markup):
        return str(text)
    parts = " ".join(text.split("\n")).split("`")
    closed = len(parts) % 2 == 1  # An even count leaves one backtick without a partner; it opens no code.
    return "`".join(part if k % 2 and closed else html.escape(part, quote=False) for k, part in enumerate(parts))


def code_html(text: str) -> Markup:
    """Text for a page, with `code` in backticks."""
    return Markup(re.sub(r"`([^`]*)`", r"<code>\1</code>", str(escape(text))))
