"""The pages of a report and of a site: the same bodies. A report holds all in one file, a site has a file for each."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

HOME = "home"
_ANCHOR, _LINK = re.compile(r' id="([^"]+)"'), re.compile(r'href="#([^"]+)"')


@dataclass(frozen=True)
class Page:
    """One subject. Links from page to page are `#anchor`, whichever page the anchor is in."""

    id: str  # its anchor in a report, the name of its file in a site
    title: str  # its line in the contents
    group: str  # the heading above that line; the home page has none
    body: Markup
    mark: str = ""  # what the contents say beside the title: a verdict
    inner: bool = False  # indented in the contents: an ablation below its method

    @property
    def file(self) -> str:
        """Its file in a site."""
        return "index.html" if self.id == HOME else f"{self.id}.html"

    @property
    def anchors(self) -> list[str]:
        """What links may point to."""
        return [self.id, *_ANCHOR.findall(self.body)]


def grouped(pages: Sequence[Page]) -> dict[str, list[Page]]:
    """Heading of the contents → its pages."""
    groups: dict[str, list[Page]] = {}
    for page in pages:
        groups.setdefault(page.group, []).append(page)
    return groups


def site_links(html: str, page: Page, pages: Sequence[Page]) -> str:
    """The text of a page's file in a site: links to anchors of other pages lead to their files."""
    places = {anchor: other for other in pages for anchor in other.anchors if other is not page}

    def link(match: re.Match[str]) -> str:
        anchor = match[1]
        if anchor not in places:
            return match[0]
        other = places[anchor]
        return f'href="{other.file}"' if anchor == other.id else f'href="{other.file}#{anchor}"'

    return _LINK.sub(link, html)
