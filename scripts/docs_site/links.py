"""Make the links of the repository work on the site: README is its first page, and code has no page of its own."""

from __future__ import annotations

import re
from typing import Any

LINK = re.compile(r"\[([^\]]*)\]\((?P<target>(?:\.\./|docs/|LICENSE)[^)\s]*)\)")


def on_page_markdown(markdown: str, page: Any, **rest: Any) -> str:
    """Rewrite links that leave the folder docs/."""
    return LINK.sub(_link, markdown)


def _link(match: re.Match[str]) -> str:
    text, target = match[1], match["target"]
    if target.startswith("docs/"):  # from README
        return f"[{text}]({target.removeprefix('docs/')})"
    if target.startswith("../README.md"):
        return f"[{text}]({target.replace('../README.md', 'index.md')})"
    return text  # a file of the code, which is no page
