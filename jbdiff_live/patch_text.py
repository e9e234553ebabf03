"""Read the text of a patch file, whatever it holds. The result is plain values, or an error with a remedy.

Threads: any; blocks on the disk, for a quarter of a megabyte at most.
"""

from __future__ import annotations

import codecs
import re
import tomllib
from pathlib import Path

MOST_BYTES = 1 << 18  # a patch of every parameter and binding has 3 kB
MOST_DEPTH = 4
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


class PatchError(ValueError):
    """A patch cannot be read or written. The text names the file, the place in it, and the remedy."""


def read_text(path: Path) -> str:
    """Return the text of a patch: UTF-8, or UTF-16 and UTF-32 with the mark that editors put in front.

    PatchError if it is no file, cannot be read, is too large, or is no text.
    """
    try:
        if path.exists() and not path.is_file():  # a device or a pipe may have no end
            raise PatchError(f"{path}: is no file; give a patch file")
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise PatchError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except ValueError as error:
        if isinstance(error, PatchError):
            raise
        raise PatchError(f"{path!r}: is no path ({error}); check it") from error
    if len(data) > MOST_BYTES:
        raise PatchError(f"{path}: is larger than {MOST_BYTES >> 10} kB; is it a patch?")
    mark, encoding = next(((mark, name) for mark, name in MARKS if data.startswith(mark)), (b"", "utf-8"))
    data = data.removeprefix(mark)
    try:
        return data.decode(encoding).replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise PatchError(
            f"{path}, line {line}: not a text file in UTF-8 ({error.reason}); is it a patch? Save it as UTF-8"
        ) from error


def read_plain(path: Path) -> dict[str, object]:
    """Return the content of a patch file as plain values. PatchError names the line that is not TOML."""
    text = read_text(path)
    if _longest_key(text) > MOST_PARTS:
        raise PatchError(f"{path}: a key of more than {MOST_PARTS} parts, nested too deeply; is it a patch?")
    try:
        content = tomllib.loads(text)
    except RecursionError as error:
        raise PatchError(f"{path}: nested too deeply; is it a patch?") from error
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"at line (\d+)", str(error))
        number = int(place[1]) if place else len(text.splitlines())
        line = (text.splitlines() or [""])[max(0, min(number, len(text.splitlines())) - 1)].strip()[:60]
        raise PatchError(f"{path}, line {number}: not TOML ({error}); mend that line: {line}") from error
    except ValueError as error:  # Python reads no number of thousands of digits
        raise PatchError(f"{path}: a number of thousands of digits; {MOST_DIGITS} are the most") from error
    _check(path, content)
    return content


def _longest_key(text: str) -> int:
    """Return the largest number of words in the text that single dots join."""
    most = parts = 0
    dotted = False  # the last token, spaces aside, was a dot after a word
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


def _check(path: Path, content: dict[str, object]) -> None:
    """Refuse what later code cannot handle: deep nesting, and numbers that no parameter has."""
    waiting: list[tuple[object, int, str]] = [(content, 0, "")]
    while waiting:
        value, depth, name = waiting.pop()
        if depth > MOST_DEPTH:
            raise PatchError(f"{path}: {name}: nested too deeply; is it a patch?")
        if isinstance(value, dict):
            waiting += [(inner, depth + 1, str(key)[:40]) for key, inner in value.items()]
        elif isinstance(value, list):
            waiting += [(inner, depth + 1, name) for inner in value]
        elif isinstance(value, int) and value.bit_length() > MOST_BITS:
            digits = int(value.bit_length() * 0.30103) + 1
            raise PatchError(f"{path}: {name}: a number of about {digits} digits; {MOST_DIGITS} are the most")
