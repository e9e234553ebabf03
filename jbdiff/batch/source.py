"""The text of a list: its tables as TOML gives them, and the line of a key for an error."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from jbdiff.plain_toml import Kind, parse_toml, read_text_file
from jbdiff.untyped import JsonTable

LIST = Kind("a list of pieces", 16)
TABLE = re.compile(r"\s*\[\[?\s*([^\].\s]+)")
HEADER = re.compile(r"\s*(?:\[\[\s*(piece|take)\s*\]\]|\[\s*(defaults)\s*\])")


@dataclass(frozen=True)
class Source:
    """A list's file, its text and its content."""

    path: Path
    text: str
    content: JsonTable

    def place(self, kind: str = "", index: int = 0, key: str = "") -> str:
        """Return "LIST.toml, line 12" for a key of the table `index` of a kind: "piece", "take" or "defaults".

        Without a kind the key belongs to the head. The line is left out if the text has no such table or key.
        """
        begin, lines, seen = (0 if not kind else -1), self.text.split("\n"), 0
        end = len(lines)
        for number, line in enumerate(lines):
            match = HEADER.match(line)
            if match is None:
                continue
            if begin >= 0:
                end = number
                break
            if (match[1] or match[2]) == kind:
                if seen == index:
                    begin = number
                seen += 1
        if begin < 0:
            return self.path.name
        name = key.rpartition(".")[2]
        pattern = re.compile(rf"\s*[\"']?{re.escape(name)}[\"']?\s*[=.]")
        found = next((n for n in range(begin, end) if name and pattern.match(lines[n])), None)
        if found is None and not kind:
            return self.path.name
        return f"{self.path.name}, line {(begin if found is None else found) + 1}"

    def table(self, name: str) -> str:
        """Return the place of the first table of a name as "LIST.toml, line 12"; an empty text if there is none."""
        for number, line in enumerate(self.text.split("\n"), 1):
            match = TABLE.match(line)
            if match is not None and match[1].strip("\"'") == name:
                return f"{self.path.name}, line {number}"
        return ""


def read_source(path: Path) -> Source:
    """Read a list. Raises OSError if it cannot be read, ValueError with the remedy if it is no TOML."""
    text = read_text_file(path, LIST)
    return Source(path, text, parse_toml(text, str(path), LIST))
