"""The links to other machines besides sound and MIDI in: OSC, feedback, CV in, and a rack.

Threads: none of its own. `port` runs on the MIDI watcher's thread, `block_made` on the engine's, the rest on the
session's. The parts that it starts have threads of their own: OSC, MIDI out, and the input of voltages.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from jbdiff_live.audio.cv_out import CvOut
from jbdiff_live.audio.input import OnFrames
from jbdiff_live.block import Block
from jbdiff_live.clock import MACHINE, Clock
from jbdiff_live.control.cv import CvChannel, CvReader
from jbdiff_live.control.map import ControlMap
from jbdiff_live.control.midi.midi_out import MidiSender
from jbdiff_live.control.midi.out_ports import OutPorts, RtOutPorts
from jbdiff_live.control.names import CV_INPUT, place
from jbdiff_live.control.osc.link import OscLink, OscSettings
from jbdiff_live.control.osc.packets import Argument
from jbdiff_live.control.outgoing.feedback import Views
from jbdiff_live.control.outgoing.rack import RackMessages
from jbdiff_live.control.source import EventHandler
from jbdiff_live.modular.movement import Measure, Movement
from jbdiff_live.modular.sends import CvSend, MidiSend
from jbdiff_live.parameters import ParameterSnapshot, ParameterStore
from jbdiff_live.status import ControlStatus

log = logging.getLogger(__name__)

ListenToCv = Callable[[str, int, OnFrames], None]  # an input's name, channels, receiver of the frames
CV_CHANNELS = 16  # most channels of an input that are read
RACK = "rack"  # name of the MIDI output of the sends


@dataclass(frozen=True)
class LinkOptions:
    """Options of the command line.

    cv_in: the sound input that carries voltages. midi_out: the output for MIDI sends; empty takes the first output.
    """

    osc: OscSettings = field(default_factory=OscSettings)
    cv_in: str | None = None
    cv_spans: tuple[tuple[int, CvChannel], ...] = ()
    sends: tuple[CvSend | MidiSend, ...] = ()
    midi_out: str | None = None


@dataclass(frozen=True)
class Sight:
    """The links' view of the session. heard: None while nothing plays. states: on or off by name, as "record"."""

    frame: Callable[[], int]
    heard: Callable[[], ParameterSnapshot | None]
    states: Callable[[], Mapping[str, bool]]


class Links:
    """The links. Call `start`, then `stop`. A missing device becomes a problem in `status`."""

    def __init__(
        self,
        options: LinkOptions,
        store: ParameterStore,
        controls: ControlMap,
        sight: Sight,
        perform: Callable[[str], None],
        movement: Movement,
        handle: EventHandler,
        ports: OutPorts | None = None,
        midi_api: str | None = None,
        clock: Clock = MACHINE,
    ) -> None:
        """handle: takes events of OSC and CV, like those of MIDI. It returns True if they have a binding."""
        self._options = options
        self._store = store
        self._controls = controls
        self._sight = sight
        self.movement = movement
        self._measures = bool(options.sends) or options.osc.on  # whether anything reads the measures
        self.osc = OscLink(options.osc, store, perform, handle, self._measured, self.calibrate, clock)
        self.sender = MidiSender(ports or RtOutPorts(midi_api), clock)
        self.cv: CvReader | None = None
        if options.cv_in is not None:
            device = f"{CV_INPUT}{options.cv_in}"
            self.cv = CvReader(
                device,
                handle,
                lambda number: controls.cv_channel(device, number),
                lambda: controls.cv_used(device),
            )
        self._rack = RackMessages(send for send in options.sends if isinstance(send, MidiSend))
        self._problem = ""

    @staticmethod
    def cv_out(options: LinkOptions, movement: Movement) -> CvOut | None:
        """Return the voltages for the output channels after the sound; None if nothing is sent there."""
        sends = tuple(send for send in options.sends if isinstance(send, CvSend))
        return CvOut(sends, movement.at) if sends else None

    # ------------------------------------------------------------------ session's thread

    def start(self, listen_to_cv: ListenToCv) -> None:
        """Begin. listen_to_cv: opens a sound input and gives its frames to a function."""
        for number, channel in self._options.cv_spans:
            if self.cv is not None:
                self._controls.calibrate(self.cv.device, number, channel)
        self.sender.start()
        if any(isinstance(send, MidiSend) for send in self._options.sends):
            self.sender.want(RACK, (self._options.midi_out or "",), self._rack_due)
        self.osc.start()
        if self.cv is not None:
            reader = self.cv
            self._controls.port(reader.device, True)
            try:
                listen_to_cv(
                    self._options.cv_in or "",
                    CV_CHANNELS,
                    lambda frames, rate: reader.frames(frames, rate, time.monotonic()),
                )
            except (
                OSError,
                RuntimeError,
                ValueError,
            ) as error:  # a missing rack must not end the concert
                log.info("no CV input: %s", error)
                self._problem = f"no CV in: {error}"

    def stop(self) -> None:
        """End every thread. The sound device closes the input of voltages."""
        self.osc.stop()
        self.sender.stop()

    def calibrate(self, number: int, end: str) -> CvChannel:
        """Store a channel's present voltage as its "low" or "high" end. ValueError names what is missing."""
        level = None if self.cv is None else self.cv.level(number)
        if self.cv is None or level is None:
            raise ValueError(f"CV {number}: nothing comes in; open an input with --cv-in")
        channel = self._controls.cv_channel(self.cv.device, number).with_end(end, level)
        self._controls.calibrate(self.cv.device, number, channel)
        return channel

    def status(self, status: ControlStatus) -> ControlStatus:
        """Return the controllers' status, completed with the links' status."""
        sender, osc = self.sender.status(), self.osc.status()
        problems = (status.problem, self._problem, sender.problem)
        return replace(
            status,
            problem="; ".join(problem for problem in problems if problem),
            osc=osc if self._options.osc.on else None,
            voltages=() if self.cv is None else self.cv.levels,
        )

    # ------------------------------------------------------------------ other threads

    def port(self, device: str, there: bool) -> None:
        """Send feedback to the output of a controller that came, or stop it. MIDI watcher's thread."""
        self._controls.port(device, there)
        names = self._controls.outputs_of(device) if there else ()
        if names:
            self.sender.want(
                device, names, lambda now: self._controls.feedback(device, self._views(), now), place(device)
            )
        else:
            self.sender.let_go(device)

    def block_made(self, block: Block) -> None:
        """Measure a block before it plays, if any measure is sent. Engine thread."""
        if self._measures:
            self.movement.block_made(block.samples, block.start_frame, block.novelty)

    def _views(self) -> Views:
        now = self._store.snapshot
        return Views(now, self._sight.heard() or now, self._sight.states())

    def _rack_due(self, now: float) -> list[bytes]:
        return self._rack.due(self.movement.at(self._sight.frame()))

    def _measured(self) -> Mapping[str, Argument]:
        """Return the measures that OSC sends besides the values."""
        moment = self.movement.at(self._sight.frame())
        found: dict[str, Argument] = {f"out/{m.value}": round(moment[m], 3) for m in Measure}
        found |= {f"state/{name}": int(on) for name, on in self._sight.states().items()}
        return found
