"""Why a knob does nothing now, in words, for every knob that can be idle. No thread, nothing blocks."""

from __future__ import annotations

from collections.abc import Mapping

from jbdiff_live.parameters import (
    OF_THE_ANCHOR,
    OF_THE_FILES,
    OF_THE_FINISHER,
    OF_THE_INPUT,
    OF_THE_MEMORY,
    ParameterSnapshot,
)
from jbdiff_live.status import Status
from jbdiff_live.ui.grey.noise import noise_reasons

NO_INPUT = "no sound input is open; choose one in the settings view (F4)"


def idle_reasons(status: Status, now: ParameterSnapshot | None) -> Mapping[str, str]:
    """The reason for each knob; empty if it does something, or if that is not known yet. now: the set values."""
    finisher = without_finisher(status)
    reasons = dict.fromkeys(OF_THE_FINISHER, finisher)
    if not finisher and now is not None and now.choice("finisher_style") in ("random", "constant"):
        reasons["finisher_step"] = f"Finisher style is at {now.choice('finisher_style')}"
    return {**reasons, **form_reasons(status, now), **noise_reasons(now), **_source_reasons(status, now)}


def without_finisher(status: Status) -> str:
    """Why the finisher's knobs do nothing; empty where they do, or where that is not known yet."""
    stack = status.stack
    if stack.finisher or stack.parts is None:
        return ""
    return "it is left out under Stack" if stack.parts.finisher else "this stack has no finisher"


def form_reasons(status: Status, now: ParameterSnapshot | None) -> Mapping[str, str]:
    """Why each knob of form and style does nothing; empty if it does something, or if that is not known yet."""
    parts = status.stack.parts
    if parts is not None and not parts.anchor:
        reasons = dict.fromkeys(OF_THE_ANCHOR, "this stack cannot be held to an anchor")
    else:
        reasons = dict.fromkeys(OF_THE_ANCHOR, "")
        reasons |= _unused(now)
    forgets = parts is not None and not parts.memory
    return reasons | dict.fromkeys(OF_THE_MEMORY, "this stack has no memory" if forgets else "")


def _unused(now: ParameterSnapshot | None) -> dict[str, str]:
    """Why a knob of the anchor does nothing at other knobs' values."""
    reasons: dict[str, str] = {}
    if now is not None:
        if now["anchor"] == 0:
            reasons |= dict.fromkeys(("brightness", "motion"), "Anchor is at 0")
        if now.choice("clock") != "tempo":
            reasons["tempo"] = f"Clock is at {now.choice('clock')}"
    return reasons


def _source_reasons(status: Status, now: ParameterSnapshot | None) -> dict[str, str]:
    """Why a source gives nothing: a live input without a device, or a file that was not chosen."""
    reasons = {"context_source": "", "init_source": "", "listen": ""}
    reasons |= dict.fromkeys(OF_THE_INPUT - {"listen"}, "" if status.audio.input_device else NO_INPUT)
    reasons |= dict.fromkeys(OF_THE_FILES, "")
    if now is None:
        return reasons
    if now.choice("context_source") == "own" and now.choice("init_source") == "own":
        reasons["listen"] = "Context and Init are at own"
    if "file" not in (now.choice("context_source"), now.choice("init_source")):
        reasons |= dict.fromkeys(OF_THE_FILES, "neither Context nor Init is at file")
    files = {"context_source": status.context_file, "init_source": status.init_file}
    for name, file in files.items():
        if now.choice(name) == "live" and not status.audio.input_device:
            reasons[name] = NO_INPUT
        elif now.choice(name) == "file" and not file:
            reasons[name] = "no file is chosen; drop one on the window"
    return reasons
