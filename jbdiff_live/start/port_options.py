"""From the names of devices and ports to the options of a session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from jbdiff_live.start.option_values import one_of, parsed, take_sound
from jbdiff_live.system.takes_folder import always_options

if TYPE_CHECKING:
    from jbdiff_live.kept.content import Ports
    from jbdiff_live.links import LinkOptions

OFF = "none"  # a text that switches a port off that the last session had


def port_options(ports: Ports, calibrations: tuple[str, ...]) -> dict[str, Any]:
    """Return the fields of `SessionOptions` that devices and ports fill. calibrations: the texts of --cv.

    typer.BadParameter names the option that cannot be used.
    """
    from jbdiff_live.beat.line import ClockSource

    try:
        always = always_options(ports.always_minutes, ports.always_mb, ports.keep_minutes)
    except ValueError as error:
        hint = "--always-minutes, --always-mb or --keep-minutes"
        raise typer.BadParameter(str(error), param_hint=hint) from error
    return {
        "device": _unless_off(ports.device),
        "input_device": _unless_off(ports.input_device),
        "midi": ports.midi,
        "links": _links(ports, calibrations),
        "clock": one_of(ClockSource, ports.clock, "--clock"),
        "clock_out": _unless_off(ports.clock_out),
        "clock_offset": ports.clock_offset / 1000,
        "beats_per_bar": ports.beats_per_bar,
        "take_sound": take_sound(ports.take),
        "always": always,
        "ports": ports,
    }


def _unless_off(text: str | None) -> str | None:
    return None if text == OFF else text


def _links(ports: Ports, calibrations: tuple[str, ...]) -> LinkOptions:
    """Return the options of OSC, control voltages and the rack."""
    from jbdiff_live.control.cv import parse_span
    from jbdiff_live.control.osc.link import OscSettings, parse_address
    from jbdiff_live.links import LinkOptions
    from jbdiff_live.modular.sends import MidiSend, parse_send

    cv_in, midi_out, out = _unless_off(ports.cv_in), _unless_off(ports.midi_out), _unless_off(ports.osc_out)
    sends = [text for text in ports.send if text != OFF]
    if calibrations and cv_in is None:
        raise typer.BadParameter("name the sound device with --cv-in", param_hint="--cv")
    address = None if out is None else parsed(parse_address, out, "--osc-out")
    to_send = tuple(parsed(parse_send, text, "--send") for text in sends)
    if midi_out is None and any(isinstance(one, MidiSend) for one in to_send):
        raise typer.BadParameter("name the MIDI output with --midi-out", param_hint="--send")
    return LinkOptions(
        OscSettings(ports.osc or None, ports.osc_host, address),
        cv_in,
        tuple(parsed(parse_span, text, "--cv") for text in calibrations),
        to_send,
        midi_out,
    )
