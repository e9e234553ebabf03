"""What a session file holds, and how its text is read. JSON; docs/session.md describes every key.

Threads: none of its own; no disk. The structures are immutable.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct

from jbdiff_live.beat.line import MOST_BEATS, MOST_OFFSET
from jbdiff_live.system.takes_folder import LEAST_KEEP_MINUTES, LEAST_MB, MOST_MB, MOST_MINUTES

FORMAT = 1
MOST_BYTES = 1 << 20  # a session with eight full scenes has 20 kB

Plain = bool | int | float | str
Text = Annotated[str, Meta(max_length=4096)]
Pixels = Annotated[int, Meta(ge=-100_000, le=100_000)]
Size = Annotated[int, Meta(ge=1, le=100_000)]


class SessionError(ValueError):
    """A session file cannot be used. The text gives the reason, without the file's name."""


class Ports(Struct, frozen=True):
    """Devices and ports, and what a take has, with the names and texts of the command line (`__main__.play`)."""

    device: Text | None = None  # None: the system's default
    input_device: Text | None = None
    midi: tuple[Text, ...] | None = None  # None: every input
    osc: Annotated[int, Meta(ge=0, le=65535)] | None = None
    osc_host: Text = "127.0.0.1"
    osc_out: Text | None = None
    cv_in: Text | None = None
    send: tuple[Text, ...] = ()
    midi_out: Text | None = None
    clock: Text = "internal"
    clock_out: Text | None = None
    clock_offset: Annotated[float, Meta(ge=-MOST_OFFSET, le=MOST_OFFSET)] = 0.0  # milliseconds
    beats_per_bar: Annotated[int, Meta(ge=1, le=MOST_BEATS)] = 4
    take: Text = "heard"  # what a take has
    always_minutes: Annotated[float, Meta(ge=0, le=MOST_MINUTES)] = 30.0  # of always recording; 0: off
    always_mb: Annotated[float, Meta(ge=LEAST_MB, le=MOST_MB)] = 1000.0
    keep_minutes: Annotated[float, Meta(ge=LEAST_KEEP_MINUTES, le=MOST_MINUTES)] = 5.0


class WindowPlace(Struct, frozen=True):
    """Where the window is, in logical pixels. view: 0 stage, 1 workshop, 2 settings."""

    x: Pixels
    y: Pixels
    width: Size
    height: Size
    view: Annotated[int, Meta(ge=0, le=2)] = 0
    maximized: bool = False
    full_screen: bool = False


class Folders(Struct, frozen=True):
    """Folders that the player chose. Empty: the usual ones.

    patches, sounds: where the dialogs begin. takes: for takes. own: for own patches.
    """

    patches: Text = ""
    takes: Text = ""
    sounds: Text = ""
    own: Text = ""


class PatchPart(Struct, frozen=True):
    """The patch as it is played, with its unsaved changes. The keys from `values` on are those of a patch file.

    file: the patch file that it came from; empty if there is none. init: the sound file for Init.
    """

    name: Text = "untitled"
    file: Text = ""
    description: Text = ""
    program: int | None = None
    stage: tuple[Text, ...] = ()
    tags: tuple[Text, ...] = ()
    values: dict[str, Plain] = {}
    bindings: dict[str, str | list[str]] = {}
    lfo: dict[str, dict[str, Any]] = {}
    scene: list[dict[str, Any]] = []
    active_scene: int | None = None
    stack: Text | None = None
    levels: tuple[int, ...] | None = None
    finisher: bool = True
    hop: int | None = None
    steps: int | None = None
    context: Text = ""
    init: Text = ""


class Content(Struct, frozen=True):
    """A whole session. A part that is None was not kept."""

    patch: PatchPart | None = None
    ports: Ports | None = None
    window: WindowPlace | None = None
    folders: Folders | None = None


NULL = Raw(b"null")


class _File(Struct):
    """The outermost keys. Each part is read on its own, so that a bad part costs no other one."""

    format: int
    app_version: str = ""
    patch: Raw = NULL
    ports: Raw = NULL
    window: Raw = NULL
    folders: Raw = NULL


S = TypeVar("S", bound=Struct)


def encode(content: Content, app_version: str) -> str:
    """Return the text of a session file. UnicodeEncodeError: a name in it is no text (half a character)."""
    file = {"format": FORMAT, "app_version": app_version, **msgspec.structs.asdict(content)}
    return msgspec.json.format(msgspec.json.encode(file), indent=1).decode() + "\n"


def decode(data: bytes) -> tuple[Content, list[str]]:
    """Return the content of a session file, and the parts that it lacks because they cannot be read, in words.

    SessionError: nothing in it can be used.
    """
    if len(data) > MOST_BYTES:
        raise SessionError(f"it is larger than {MOST_BYTES >> 20} MB")
    try:
        file = msgspec.json.decode(data.removeprefix(b"\xef\xbb\xbf"), type=_File)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise SessionError(f"it is damaged ({_reason(error)})") from error
    if file.format > FORMAT:
        raise SessionError(f"a newer jbdiff-live kept it (format {file.format}; this one reads {FORMAT})")
    if file.format < 1:
        raise SessionError(f"it is damaged (format {file.format})")
    wrong: list[str] = []

    def part(name: str, raw: Raw, kind: type[S]) -> S | None:
        if raw == NULL:
            return None
        try:
            return msgspec.json.decode(raw, type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            wrong.append(f"{name} ({_reason(error)})")
            return None

    content = Content(
        part("patch", file.patch, PatchPart),
        part("ports", file.ports, Ports),
        part("window", file.window, WindowPlace),
        part("folders", file.folders, Folders),
    )
    return content, wrong


def _reason(error: Exception) -> str:
    """Return the reader's message in one short line."""
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return "not UTF-8"
    return re.sub(r"\s+", " ", str(error))[:120]
