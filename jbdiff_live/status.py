"""All that the window shows (`Status`) and may ask for (`Transport`). Values are frozen; readers poll them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import Protocol

from jbdiff_live.beat.line import ClockSource, ClockStatus
from jbdiff_live.beat.modulation import Lfo
from jbdiff_live.binding import Binding
from jbdiff_live.block import SAMPLE_RATE, Block, Rung
from jbdiff_live.browse.entry import Entry, LibraryStatus
from jbdiff_live.browse.takes import TakeShelf
from jbdiff_live.control_view import BindingRow, Ghost, LearnQuestion, Waiting
from jbdiff_live.parameters import ParameterSnapshot
from jbdiff_live.scenes.view import PastStatus, SceneStatus, UndoStatus
from jbdiff_live.stack_choice import StackChoice, StackParts, StackStatus
from jbdiff_live.system.takes_folder import AlwaysOptions


class EngineState(Enum):
    OFFLINE = "offline"
    LOADING = "loading"
    WARMING = "warming"
    READY = "ready"  # loaded and warm, with the first block made; the player has not pressed start yet
    RUNNING = "running"
    COASTING = "coasting"  # a block is late: the sound has faded out until the block arrives
    STOPPING = "stopping"  # a stop was asked for, and the step in work has not ended yet
    FAILED = "failed"


@dataclass(frozen=True)
class EngineStatus:
    state: EngineState = EngineState.OFFLINE
    detail: str = ""  # the work in progress, or the reason of a failure and its remedy
    asked: bool = True  # False while the instrument gets ready by itself, before the player presses start
    blocks_made: int = 0
    beginning: bool = False  # True until the first block after a panic is made
    block_seconds: float = 0.0  # time the last block took
    block_seconds_p99: float = 0.0
    block_duration: float = 0.0  # seconds of audio in a block: the budget
    deadline_seconds: float = 0.0  # queue level at which the next block is started
    reach_median: float = 0.0  # seconds from turning a `next block` knob to its sound leaving the queue
    reach_p99: float = 0.0
    step_reach_median: float = 0.0  # the same for a `next step` knob; 0 if none was read
    step_reach_p99: float = 0.0
    late_blocks: int = 0
    rung: Rung = Rung.FULL
    made: ParameterSnapshot | None = None  # snapshot of the newest block

    @property
    def plays(self) -> bool:
        """True if the player has started the music, also while it gets ready."""
        idle = (EngineState.OFFLINE, EngineState.READY, EngineState.STOPPING, EngineState.FAILED)
        return self.asked and self.state not in idle

    @property
    def sounds(self) -> bool:
        """True if the audience may hear the music, also while it stops. A model that gets ready is not heard."""
        return self.plays or self.state is EngineState.STOPPING

    def seen(self, asked: bool) -> EngineStatus:
        """Return the status as the player sees it. asked: the player has pressed start; until then nothing runs."""
        if asked:
            return self
        if self.state in (EngineState.RUNNING, EngineState.COASTING) and self.blocks_made:
            return replace(self, state=EngineState.READY, detail="", asked=False)
        return replace(self, asked=False)


class Held(Enum):
    """The player's action that keeps the output silent."""

    NOTHING = ""
    PANIC = "panic"  # panic was pressed, and the engine has not begun again yet
    MUTE = "mute"
    GAIN = "gain"  # the gain is at its lowest position


@dataclass(frozen=True)
class Loudness:
    """Three measures in LUFS (EBU R 128), None while they are below -70 LUFS or not known yet; and the true peak."""

    momentary: float | None = None  # last 0.4 s
    short_term: float | None = None  # last 3 s
    integrated: float | None = None  # since the output was opened, without pauses
    true_peak: float | None = None  # dB, at most so high since then; None before the first sound


@dataclass(frozen=True)
class InputStatus:
    """The live input."""

    peak: float = 0.0  # linear, after trim; falls slowly
    clipped: bool = False  # held: the device was at full scale since the player chose it
    open: bool = False  # the gate lets sound in
    turned_down: float = 1.0  # gain against feedback; 1 is none
    overruns: int = 0  # times the program was too late, with frames of the input lost
    delay_seconds: float | None = None  # measured by --measure-loopback for these two devices


@dataclass(frozen=True)
class AudioStatus:
    running: bool = False
    device: str = ""
    nowhere: bool = False  # the sound is inaudible: a null device plays, or the device is gone
    stalled_seconds: float = 0.0  # time since the device last took frames; 0 while nothing plays
    quiet_seconds: float = 0.0  # time since the last peak above -70 dBFS went to the device
    held: Held = Held.NOTHING
    sample_rate: int = 0
    underruns: int = 0  # times the short ring or the device ran dry
    ran_dry: int = 0  # the part of `underruns` in which the device found the short ring empty
    holes_lately: int = 0  # underruns in the last ten seconds
    short_frames: int = 0  # frames of silence given in place of late blocks
    low_water_frames: int = 0  # the lowest fill of the short ring since the last look
    latency_seconds: float = 0.0  # short ring plus device: the delay of a `now` control
    usual_latency_seconds: float = (
        0.0  # the latency at the short ring's first length; the ring grows after underruns
    )
    device_seconds: float = 0.0  # the part of `latency_seconds` behind the short ring
    peak: tuple[float, float] = (
        0.0,
        0.0,
    )  # peaks left and right, linear, after the limiter; 0 if the device takes no frames
    limited: bool = False  # True if the limiter turned down since the last look
    priority: str = (
        ""  # priority of the feeder thread: "real time", "raised" or "normal"; empty before a start
    )
    loudness: Loudness = field(default_factory=Loudness)  # of the output
    input_device: str = ""
    input: InputStatus | None = None  # None: no live input is open
    problem: str = ""


@dataclass(frozen=True)
class RecorderStatus:
    recording: bool = False
    folder: Path | None = None
    frames: int = 0
    dropped_blocks: int = 0
    seconds_left: float | None = None  # room for a take on the disk; None if the disk does not say
    problem: str = ""
    warning: str = ""  # about a take that goes on: the disk is nearly full, or its folder has gone
    takes: Path | None = None  # the folder for takes
    sound: str = "heard"  # what the next take has: "heard", "engine", "both" or "stems"
    always: AlwaysOptions | None = None  # the ring of the last minutes; None: off
    always_seconds: float = 0.0  # sound in it


@dataclass(frozen=True)
class OscStatus:
    """listening, sending: "host:port", or empty if off. last_unusable: the reason for the last refused message."""

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
    missing: tuple[str, ...] = ()  # chosen inputs that are not connected now
    learning: str | None = None  # parameter, action or function that waits for a control
    waiting: Waiting = Waiting.NOTHING  # the use of the next touched control
    row: tuple[str, ...] = ()  # targets to learn one after the other, `learning` first
    question: LearnQuestion | None = None  # a learned control moves something else already
    touched: tuple[str, ...] = ()  # targets of the control that was located last
    hardware: Mapping[str, Ghost] = field(default_factory=dict)  # position of each parameter's control
    note: str = ""  # result of the last learning, unlearning or locating
    last_message: str = ""
    messages: int = 0
    problem: str = ""
    osc: OscStatus | None = None  # None while OSC is off
    voltages: tuple[float, ...] = ()  # samples of the CV input's channels, from channel 1 on
    moved: tuple[str, ...] = ()  # the last changes by controls, newest first: "CC 74: Noise"


@dataclass(frozen=True)
class Status:
    """The whole instrument at one moment. `frame` is the audible frame, counted from the session's beginning."""

    frame: int = 0
    sample_rate: int = SAMPLE_RATE
    seconds_queued: float = 0.0
    engine: EngineStatus = field(default_factory=EngineStatus)
    audio: AudioStatus = field(default_factory=AudioStatus)
    recorder: RecorderStatus = field(default_factory=RecorderStatus)
    control: ControlStatus = field(default_factory=ControlStatus)
    clock: ClockStatus = field(default_factory=ClockStatus)
    heard: ParameterSnapshot | None = None  # the knobs with which the audible block was made
    rung: Rung | None = None  # rung of the audible block
    patch: str = ""
    program: int | None = None  # the MIDI program that loads the patch
    patch_file: str = ""  # path of the patch; empty if no file holds it
    patch_values: Mapping[str, float] = field(default_factory=dict)  # values that the patch names
    stage_knobs: tuple[
        str, ...
    ] = ()  # parameters that the patch wants on the stage view; empty for the usual ones
    reload_seconds: float = 0.0  # time from the last choice of a stack to its first sound
    stack: StackStatus = field(default_factory=StackStatus)
    context_file: str = ""
    init_file: str = ""
    priority: str = ""  # the process's priority against other programs
    message: str = ""  # a problem that the player should read
    note: str = ""  # the answer to the player's last action; no problem
    scenes: SceneStatus = field(default_factory=SceneStatus)
    undo: UndoStatus = field(default_factory=UndoStatus)
    past: PastStatus = field(default_factory=PastStatus)
    library: LibraryStatus = field(default_factory=LibraryStatus)


class Transport(Protocol):
    """The requests that the window may make to the session. Called on the UI thread; none blocks for long."""

    def prepare(self) -> None:
        """Load and warm up the model and make the first block, without a sound. Returns at once."""
        ...

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def start_recording(self) -> None: ...
    def stop_recording(self) -> None: ...
    def keep(self, everything: bool = False) -> None:
        """Make a take of the last minutes that were heard, or of everything since the music started."""
        ...

    def choose_takes_folder(self, folder: Path) -> None:
        """Let takes go into a folder, from the next one on."""
        ...

    def choose_take_sound(self, sound: str) -> None:
        """Let takes have "heard", "engine", "both" or "stems", from the next one on."""
        ...

    def choose_always(self, minutes: float, megabytes: float, keep_minutes: float) -> None:
        """Keep more or fewer of the last minutes from now on; 0 minutes keeps none. keep_minutes: for `keep`."""
        ...

    def holds(self, function: str) -> bool:
        """Let "play" or "record" wait for the next beat or bar. Return False if nothing is held: do it now."""
        ...

    def status(self) -> Status: ...
    def snapshot(self) -> ParameterSnapshot: ...
    def recent_blocks(self) -> tuple[Block, ...]:
        """Return the newest blocks, oldest first: at least the last ten seconds played, and all that are queued."""
        ...

    def set_parameter(self, name: str, value: float) -> None: ...
    def trigger(self, action: str) -> None: ...
    def press_key(self, key: str) -> bool:
        """Press a key that the window itself does not use, such as "F5". Return True if it has a binding."""
        ...

    def lfos(self) -> Mapping[str, Lfo]:
        """Return the LFOs, also those that are off, by the parameter that they move."""
        ...

    def set_lfo(self, name: str, lfo: Lfo | None) -> None:
        """Give a knob an LFO, or remove its LFO."""
        ...

    def recall_scene(self, number: int) -> None:
        """Recall scene 1 to 8 as the scene knobs say; after `arm_capture`, capture it."""
        ...

    def capture_scene(self, number: int) -> None:
        """Keep the knobs as they stand in scene 1 to 8."""
        ...

    def arm_capture(self) -> None:
        """Capture the scene that is recalled next. A second call lets it be."""
        ...

    def rename_scene(self, number: int, name: str) -> None: ...
    def copy_scene(self, number: int, to: int) -> None: ...
    def clear_scene(self, number: int) -> None: ...
    def leave_out_of_scene(self, number: int, groups: frozenset[str]) -> None:
        """Leave these groups of `scenes.scene.GROUPS` out of a scene."""
        ...

    def set_scene_program(self, number: int, program: int | None) -> None:
        """Let a MIDI program, 1 to 128, recall a scene. None takes the program away."""
        ...

    def undo(self) -> None: ...
    def redo(self) -> None: ...
    def compare(self) -> None:
        """Swap to the saved patch. Called again, swap back."""
        ...

    def revert(self) -> None:
        """Go back to the saved patch, as one step of undo."""
        ...

    def jump(self, function: str) -> None:
        """Let the time machine go "back", "far_back" or "forward", at the next beat or bar if changes wait for it."""
        ...

    def learn(self, name: str | None) -> None:
        """Bind the next control that moves to `name`. None stops learning, unlearning and locating."""
        ...

    def learn_row(self, names: Sequence[str]) -> None:
        """Learn one target after the other."""
        ...

    def skip_learning(self) -> None:
        """Go on with the next target of the row."""
        ...

    def answer_learning(self, how: str) -> None:
        """Answer `ControlStatus.question`: "replace", "both" or "cancel"."""
        ...

    def unlearn(self) -> None:
        """Remove the bindings of the next control that moves."""
        ...

    def locate(self) -> None:
        """Show in `ControlStatus.touched` the targets of each touched control. Controls move nothing meanwhile."""
        ...

    def unbind(self, name: str) -> None: ...
    def correct_binding(self, device: str, name: str, text: str) -> None:
        """Bind a target of one controller to an address that a person wrote, such as "CC 21 relative 65/63"."""
        ...

    def edit_binding(self, device: str, old: Binding, new: Binding) -> None:
        """Put a binding of a controller in the place of another. A patch's becomes the controller's own."""
        ...

    def remove_binding(self, device: str, old: Binding) -> None:
        """Remove one binding of a controller."""
        ...

    def allow_bindings(self, device: str, name: str) -> None:
        """Let the patch's controls of a target work on a controller whose map keeps them away."""
        ...

    def binding_rows(self) -> Sequence[BindingRow]:
        """Return every binding in use, by controller."""
        ...

    def all_binding_rows(self) -> Sequence[BindingRow]:
        """Return every binding, also those that are not in use, with conflicts and takeover."""
        ...

    def bindings(self) -> Mapping[str, str]:
        """Return the text of each bound name's binding: "CC 74", "CC 1/33 14-bit", "note C3"."""
        ...

    def audio_devices(self) -> Sequence[str]: ...
    def choose_audio_device(self, name: str) -> None: ...
    def input_devices(self) -> Sequence[str]: ...
    def choose_input_device(self, name: str) -> None: ...
    def midi_inputs(self) -> Sequence[str]: ...
    def choose_midi_inputs(self, names: Sequence[str]) -> None: ...
    def clock_outputs(self) -> Sequence[str]: ...
    def choose_clock(self, source: ClockSource) -> None: ...
    def choose_clock_out(self, name: str) -> None:
        """Send MIDI clock to an output, or to "virtual", from now on; an empty name sends none."""
        ...

    def choose_clock_offset(self, milliseconds: float) -> None: ...
    def choose_beats_per_bar(self, beats: int) -> None: ...

    def stacks(self) -> Sequence[StackParts]:
        """Return the stacks that were found. The first call only begins the search."""
        ...

    def choose_stack(self, choice: StackChoice) -> None:
        """Load another stack, or other parts of this one, while this one plays on. Then crossfade to it."""
        ...

    def folder(self, kind: str) -> Path | None:
        """Return the folder in which the dialogs for "patches" or "sounds" begin; None for the usual one.

        "own": the folder of own patches; None for a user without a home folder.
        """
        ...

    def keep_folder(self, kind: str, folder: Path) -> None:
        """Let the dialogs for "patches" or "sounds" begin in a folder from now on."""
        ...

    def choose_own_patches(self, folder: Path) -> None:
        """Read own patches from a folder, and save them there, from now on."""
        ...

    def patches(self) -> Mapping[str, Path]: ...
    def patch_programs(self) -> Mapping[str, int]:
        """Return the MIDI program, 1 to 128, of each patch that has one."""
        ...

    def load_patch(self, path: Path) -> None: ...
    def save_patch(self, path: Path, name: str) -> None: ...
    def library(self) -> Sequence[Entry]:
        """Return every patch, sound and take that the browser shows, also patches that cannot be loaded."""
        ...

    def mark_favourite(self, key: str, on: bool) -> None: ...
    def arm_patch(self, path: Path | None) -> None:
        """Load a patch at the next bar. None takes it back."""
        ...

    def listen_to(self, path: Path | None) -> None:
        """Play a sound file for listening, while the music is stopped. None ends it."""
        ...

    def save_own_patch(self) -> None:
        """Write the patch that plays into its own file."""
        ...

    def save_patch_as(self, name: str) -> None:
        """Write the patch that plays into a new file of the player's own."""
        ...

    def takes(self) -> TakeShelf:
        """Return the player's takes, for the take view."""
        ...

    def rename_patch(self, path: Path, name: str) -> None: ...
    def trash_patch(self, path: Path) -> None: ...
    def load_context_file(self, path: Path) -> None: ...
    def load_init_file(self, path: Path) -> None: ...
