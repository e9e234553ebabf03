"""Reading TOML files: any encoding that an editor saves, and no content that stops the program."""

from __future__ import annotations

import codecs
import re
import tomllib
from pathlib import Path

from jbdiff.untyped import JsonDict

MOST_BYTES = 1 << 18
MOST_DEPTH = 16
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


def read_toml_file(path: Path) -> JsonDict:
    """Return the content of a TOML file. Raises OSError if it cannot be read, ValueError with the remedy otherwise."""
    if path.exists() and not path.is_file():
        raise ValueError(f"{path} is no file; give a TOML file")
    with path.open("rb") as file:
        data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise ValueError(f"{path} is larger than {MOST_BYTES >> 10} kB; is it a file of options?")
    return parse_toml(decoded(data, path), str(path))


def decoded(data: bytes, path: Path) -> str:
    """Return a file's text: UTF-8, or UTF-16 and UTF-32 with the mark that editors put in front.

    Raises ValueError for other encodings.
    """
    mark, encoding = next(((mark, name) for mark, name in MARKS if data.startswith(mark)), (b"", "utf-8"))
    data = data.removeprefix(mark)
    try:
        return data.decode(encoding).replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ValueError(f"{path}, line {line}: the text is not UTF-8; save the file as UTF-8") from error


def parse_toml(text: str, where: str) -> JsonDict:
    """Return the content of TOML text. Raises ValueError with `where` if it is no TOML, or nested too deeply."""
    if longest_key(text) > MOST_DEPTH:
        raise ValueError(f"{where}: a key of more than {MOST_DEPTH} parts; is it a file of options?")
    try:
        content = tomllib.loads(text)
    except RecursionError as error:
        raise ValueError(
            f"{where}: nested too deeply; {MOST_DEPTH} tables in one another are the most"
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{where} is no TOML file: {error}") from error
    except ValueError as error:  # Python reads no number of thousands of digits
        raise ValueError(
            f"{where} has a number of thousands of digits; {MOST_DIGITS} are the most"
        ) from error
    _check(content, where)
    return content


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


def _check(content: JsonDict, where: str) -> None:
    """Raise ValueError for deep nesting and for numbers beyond 64 bits, which later code cannot handle."""
    waiting: list[tuple[object, int, str]] = [(content, 0, "")]
    while waiting:
        value, depth, name = waiting.pop()
        if depth > MOST_DEPTH:
            raise ValueError(
                f"{where}: {name} is nested too deeply; {MOST_DEPTH} tables in one another are the most"
            )
        if isinstance(value, dict):
            waiting += [(inner, depth + 1, name or str(key)[:40]) for key, inner in value.items()]
        elif isinstance(value, list):
            waiting += [(inner, depth + 1, name) for inner in value]
        elif isinstance(value, int) and value.bit_length() > MOST_BITS:
            digits = int(value.bit_length() * 0.30103) + 1
            raise ValueError(
                f"{where}: {name} is a number of about {digits} digits; {MOST_DIGITS} are the most"
            )
