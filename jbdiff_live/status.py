"""What a window may see and ask. Frozen values only: each thread swaps its own status whole; readers poll."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Protocol

from jbdiff_live.beat.line import ClockStatus
from jbdiff_live.beat.modulation import Lfo
from jbdiff_live.block import SAMPLE_RATE, Block, Rung
from jbdiff_live.control_view import BindingRow, Ghost, LearnQuestion, Waiting
from jbdiff_live.parameters import ParameterSnapshot
from jbdiff_live.stack_choice import StackChoice, StackParts, StackStatus


class EngineState(Enum):
    OFFLINE = "offline"
    LOADING = "loading"
    WARMING = "warming"
    RUNNING = "running"
    COASTING = "coasting"  # a block is late: sound has faded until it arrives
    STOPPING = "stopping"  # asked to stop, and a step of its work has not ended yet
    FAILED = "failed"


@dataclass(frozen=True)
class EngineStatus:
    state: EngineState = EngineState.OFFLINE
    detail: str = ""  # what it is doing, or why it failed and what to do
    blocks_made: int = 0
    beginning: bool = False  # no block was made since the last panic
    block_seconds: float = 0.0  # time the last block took
    block_seconds_p99: float = 0.0
    block_duration: float = 0.0  # seconds of audio in a block: the budget
    deadline_seconds: float = 0.0  # queue level at which the next block is started
    reach_median: float = 0.0  # seconds from turning a `next block` knob to its sound leaving the queue
    reach_p99: float = 0.0
    step_reach_median: float = 0.0  # the same of a `next step` knob; 0 where none was read
    step_reach_p99: float = 0.0
    late_blocks: int = 0
    rung: Rung = Rung.FULL
    made: ParameterSnapshot | None = None  # snapshot of the newest block


class Held(Enum):
    """What the player did that keeps the output silent."""

    NOTHING = ""
    PANIC = "panic"  # pressed, and the engine has not begun again yet
    MUTE = "mute"
    GAIN = "gain"  # at its lowest position


@dataclass(frozen=True)
class AudioStatus:
    running: bool = False
    device: str = ""
    nowhere: bool = False  # nobody hears it: a null device plays, or the device is gone
    stalled_seconds: float = 0.0  # since the device took sound last; 0 while nothing plays
    quiet_seconds: float = 0.0  # since a peak above -70 dBFS was given to the device
    held: Held = Held.NOTHING
    sample_rate: int = 0
    underruns: int = 0  # times the short ring or the device ran dry
    ran_dry: int = 0  # of them, times the device found the short ring empty
    holes_lately: int = 0  # underruns of the last ten seconds
    short_frames: int = 0  # frames of silence given in place of late blocks
    low_water_frames: int = 0  # the emptiest the short ring has been since the last look
    latency_seconds: float = 0.0  # short ring plus device: the delay of a `now` control
    usual_latency_seconds: float = (
        0.0  # the same with the short ring at its first length: it grows after underruns
    )
    device_seconds: float = 0.0  # of it, what lies behind the short ring
    peak: tuple[float, float] = (
        0.0,
        0.0,
    )  # left, right, linear, after the limiter; 0 when the device takes nothing
    limited: bool = False  # the limiter worked since the last look
    priority: str = (
        ""  # of the thread that feeds the device: "real time", "raised" or "normal"; empty before a start
    )
    input_device: str = ""
    problem: str = ""


@dataclass(frozen=True)
class RecorderStatus:
    recording: bool = False
    folder: Path | None = None
    frames: int = 0
    dropped_blocks: int = 0
    problem: str = ""


@dataclass(frozen=True)
class OscStatus:
    """listening, sending: "host:port", empty when it does not. last_unusable: why a message was refused just now."""

    listening: str = ""
    sending: str = ""
    received: int = 0
    unusable: int = 0  # messages that changed nothing
    last_unusable: str = ""
    sent: int = 0
    problem: str = ""


@dataclass(frozen=True)
class ControlStatus:
    connected: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()  # chosen, and not there now
    learning: str | None = None  # parameter, action or function waiting for a knob
    waiting: Waiting = Waiting.NOTHING  # what the next control that is touched is for
    row: tuple[str, ...] = ()  # targets that are learned one after the other, `learning` first
    question: LearnQuestion | None = None  # a learned control moves something else already
    touched: tuple[str, ...] = ()  # what the control moves that was located last
    hardware: Mapping[str, Ghost] = field(default_factory=dict)  # by parameter, where its control stands
    note: str = ""  # what came of the last learning, unlearning or locating
    last_message: str = ""
    messages: int = 0
    problem: str = ""
    osc: OscStatus | None = None  # None while OSC is off
    voltages: tuple[float, ...] = ()  # samples of the CV input's channels, from channel 1 on
    moved: tuple[str, ...] = ()  # what controls moved last, newest first: "CC 74: Noise"


@dataclass(frozen=True)
class Status:
    """Everything at one moment. `frame` is the frame being heard, since the session began."""

    frame: int = 0
    sample_rate: int = SAMPLE_RATE
    seconds_queued: float = 0.0
    engine: EngineStatus = field(default_factory=EngineStatus)
    audio: AudioStatus = field(default_factory=AudioStatus)
    recorder: RecorderStatus = field(default_factory=RecorderStatus)
    control: ControlStatus = field(default_factory=ControlStatus)
    clock: ClockStatus = field(default_factory=ClockStatus)
    heard: ParameterSnapshot | None = None  # what the knobs were for the sound being heard
    rung: Rung | None = None  # of the block being heard
    patch: str = ""
    program: int | None = None  # the MIDI program that loads it
    reload_seconds: float = 0.0  # from asking for the last change of stack to its sound leaving the queue
    stack: StackStatus = field(default_factory=StackStatus)
    context_file: str = ""
    init_file: str = ""
    priority: str = ""  # of the process against other programs
    message: str = ""  # a problem that the player should read
    note: str = ""  # the answer to what the player did last: no problem, good to know


class Transport(Protocol):
    """What the window may ask of the session. Called on the UI thread; nothing here blocks for long."""

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def start_recording(self) -> None: ...
    def stop_recording(self) -> None: ...

    def status(self) -> Status: ...
    def snapshot(self) -> ParameterSnapshot: ...
    def recent_blocks(self) -> tuple[Block, ...]:
        """The newest blocks, oldest first, covering at least the last ten seconds heard and all queued."""
        ...

    def set_parameter(self, name: str, value: float) -> None: ...
    def trigger(self, action: str) -> None: ...
    def press_key(self, key: str) -> bool:
        """Press a key that the window itself does not use, such as "F5". Return whether it is bound to something."""
        ...

    def lfos(self) -> Mapping[str, Lfo]:
        """The LFOs by the parameter that they move, also those that are off."""
        ...

    def set_lfo(self, name: str, lfo: Lfo | None) -> None:
        """Gives a knob an LFO, or takes it away."""
        ...

    def learn(self, name: str | None) -> None:
        """Waits for the next knob or pad and binds it to `name`; None stops waiting, also of what follows here."""
        ...

    def learn_row(self, names: Sequence[str]) -> None:
        """Learns one target after the other."""
        ...

    def skip_learning(self) -> None:
        """Goes on with the next target of the row."""
        ...

    def answer_learning(self, how: str) -> None:
        """Answers `ControlStatus.question`: "replace", "both" or "cancel"."""
        ...

    def unlearn(self) -> None:
        """Waits for a control and lets go of what it moves."""
        ...

    def locate(self) -> None:
        """Tells in `ControlStatus.touched` what each control that is touched moves; it moves nothing meanwhile."""
        ...

    def unbind(self, name: str) -> None: ...
    def correct_binding(self, device: str, name: str, text: str) -> None:
        """Binds a target of one controller to what a person wrote, such as "CC 21 relative 65/63"."""
        ...

    def binding_rows(self) -> Sequence[BindingRow]:
        """Every binding in use, by controller."""
        ...

    def bindings(self) -> Mapping[str, str]:
        """For each bound name, how a person would write it: "CC 74", "CC 1/33 14-bit", "note C3"."""
        ...

    def audio_devices(self) -> Sequence[str]: ...
    def choose_audio_device(self, name: str) -> None: ...
    def input_devices(self) -> Sequence[str]: ...
    def choose_input_device(self, name: str) -> None: ...
    def midi_inputs(self) -> Sequence[str]: ...
    def choose_midi_inputs(self, names: Sequence[str]) -> None: ...

    def stacks(self) -> Sequence[StackParts]:
        """The stacks that can be found. The first call only begins to look for them."""
        ...

    def choose_stack(self, choice: StackChoice) -> None:
        """Loads another stack, or other parts of this one, while this one plays on, and fades over to it."""
        ...

    def patches(self) -> Mapping[str, Path]: ...
    def patch_programs(self) -> Mapping[str, int]:
        """For patches with a MIDI program, that program, 1 to 128."""
        ...

    def load_patch(self, path: Path) -> None: ...
    def save_patch(self, path: Path, name: str) -> None: ...
    def load_context_file(self, path: Path) -> None: ...
    def load_init_file(self, path: Path) -> None: ...
