"""Read TOML files: any encoding that an editor saves, and no content that stops the program.

The instrument reads patches and maps with it too. So this file imports nothing that takes long to import.
"""

from __future__ import annotations

import codecs
import difflib
import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from jbdiff.untyped import JsonDict

MOST_BYTES = 1 << 18
MOST_PARTS = 16  # parts of a dotted key; a file name in quotation marks may have any number of dots
# A key of ten thousand parts keeps tomllib busy for minutes.
TOKEN = re.compile(r"""[A-Za-z0-9_-]+|"[^"\n]*"|'[^'\n]*'|[ \t]+|[\s\S]""")
MOST_BITS, MOST_DIGITS = 64, 19  # of a whole number, as TOML itself has it
MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # begins like the next one
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
)


@dataclass(frozen=True)
class Kind:
    """What a file should be. name: for the errors. depth: the most tables in one another."""

    name: str
    depth: int


OPTIONS = Kind("a file of options", 16)


def read_toml_file(path: Path, kind: Kind = OPTIONS) -> JsonDict:
    """Return the content of a TOML file. Raises OSError if it cannot be read, ValueError with the remedy otherwise."""
    return parse_toml(read_text_file(path, kind), str(path), kind)


def read_text_file(path: Path, kind: Kind = OPTIONS) -> str:
    """Return a file's text: UTF-8, or UTF-16 and UTF-32 with the mark that editors put in front.

    Line ends become single line feeds. Raises OSError if it cannot be read, ValueError with the remedy otherwise.
    """
    if path.exists() and not path.is_file():  # a device or a pipe may have no end
        raise ValueError(f"{path} is no file; give {kind.name}")
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except FileNotFoundError as error:
        missing = FileNotFoundError(f"there is no file {path}; check the name")
        missing.strerror = error.strerror  # for callers that write a sentence of their own
        raise missing from error
    if len(data) > MOST_BYTES:
        raise ValueError(f"{path} is larger than {MOST_BYTES >> 10} kB; is it {kind.name}?")
    mark, encoding = next(((mark, name) for mark, name in MARKS if data.startswith(mark)), (b"", "utf-8"))
    data = data.removeprefix(mark)
    try:
        return data.decode(encoding).replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ValueError(f"{path}, line {line}: the text is not UTF-8; save the file as UTF-8") from error


def parse_toml(text: str, where: str, kind: Kind = OPTIONS) -> JsonDict:
    """Return the content of TOML text. Raises ValueError with `where` if it is no TOML, or nested too deeply."""
    if longest_key(text) > MOST_PARTS:
        raise ValueError(
            f"{where}: a key of more than {MOST_PARTS} parts is nested too deeply; is it {kind.name}?"
        )
    try:
        content = tomllib.loads(text)
    except RecursionError as error:
        raise ValueError(f"{where}: {_too_deep(kind)}") from error
    except tomllib.TOMLDecodeError as error:
        number, line = _line_of(text, error)
        raise ValueError(f"{where}, line {number}: not TOML ({error}); mend that line: {line}") from error
    except ValueError as error:  # Python reads no number of thousands of digits
        raise ValueError(f"{where}: a number of thousands of digits; {MOST_DIGITS} are the most") from error
    _check(content, where, kind)
    return content


def _too_deep(kind: Kind) -> str:
    return f"nested too deeply; {kind.depth} tables in one another are the most"


def _line_of(text: str, error: tomllib.TOMLDecodeError) -> tuple[int, str]:
    """Return the number of the line that is wrong, from 1, and its text."""
    place, lines = re.search(r"at line (\d+)", str(error)), text.splitlines()
    number = int(place[1]) if place else len(lines)
    return number, (lines or [""])[max(0, min(number, len(lines)) - 1)].strip()[:60]


def longest_key(text: str) -> int:
    """Return the largest number of words in the text that are joined by single dots."""
    most = parts = 0
    dotted = False  # whether the last token, without spaces, was a dot after a word
    for match in TOKEN.finditer(text):
        first = text[match.start()]
        if first in " \t":
            continue
        if first == ".":
            dotted = parts > 0 and not dotted
            parts = parts if dotted else 0
        elif first.isalnum() or first in "_-" or match.end() - match.start() > 1:
            parts = parts + 1 if dotted else 1
            most, dotted = max(most, parts), False
        else:
            parts, dotted = 0, False
    return most


def _check(content: JsonDict, where: str, kind: Kind) -> None:
    """Raise ValueError for deep nesting and for numbers beyond 64 bits, which later code cannot handle."""
    waiting: list[tuple[object, int, str]] = [(content, 0, "")]
    while waiting:
        value, depth, name = waiting.pop()
        if depth > kind.depth:
            raise ValueError(f"{where}: {name} is {_too_deep(kind)}")
        if isinstance(value, dict):
            waiting += [(inner, depth + 1, name or str(key)[:40]) for key, inner in value.items()]
        elif isinstance(value, list):
            waiting += [(inner, depth + 1, name) for inner in value]
        elif isinstance(value, int) and value.bit_length() > MOST_BITS:
            digits = int(value.bit_length() * 0.30103) + 1
            raise ValueError(
                f"{where}: {name} is a number of about {digits} digits; {MOST_DIGITS} are the most"
            )


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a hint at the name that could have been meant, as text for an error."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, 1, 0.5)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"
