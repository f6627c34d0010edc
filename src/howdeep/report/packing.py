"""What a page shows on demand travels packed: closed parts are most of a report, and a browser need not draw them.

A picture is text that packs to an eighth. A part is unpacked by the page's script when it is opened, or when a link
leads into it.
"""

import base64
import gzip
import re
from collections.abc import Callable

from markupsafe import Markup

MARK = "\N{OBJECT REPLACEMENT CHARACTER}"
PACKED = re.compile(r'<script type="text/plain" class="packed">([^<]*)</script>')


class Packing:
    """The packed parts of one page.

    `later` takes the place of a part while the page is rendered; `packed` puts all of them in, when the style that
    they share with the rest of the page is known.
    """

    def __init__(self) -> None:
        self.parts: list[str] = []

    def later(self, content: str) -> Markup:
        """A mark in the place of a part of a page."""
        self.parts.append(str(content))
        return Markup(f"{MARK}{len(self.parts) - 1}{MARK}")

    def packed(self, html: str, dressed: Callable[[str], str]) -> str:
        """The page with every part packed; one may lie in another.

        Args:
            dressed: is applied to each part before.
        """

        def put(mark: re.Match[str]) -> str:
            part = self.packed(dressed(self.parts[int(mark[1])]), dressed)
            return f'<script type="text/plain" class="packed">{pack(part)}</script>'

        return re.sub(f"{MARK}(\\d+){MARK}", put, html)


def pack(text: str) -> str:
    """Gzipped, in base64; the same text gives the same bytes."""
    return base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode()


def unpacked(html: str) -> str:
    """A page with every packed part as it is: what a reader sees who opened them all."""
    return PACKED.sub(lambda part: unpacked(gzip.decompress(base64.b64decode(part[1])).decode()), html)
