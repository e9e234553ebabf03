"""The states of the window that a person should look at, by name. Used by scripts/screenshot and the tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from demo_transport import DemoTransport

from jbdiff_live.beat.line import ClockSource, ClockState, ClockStatus
from jbdiff_live.beat.modulation import Lfo
from jbdiff_live.block import Rung
from jbdiff_live.stack_choice import StackChoice
from jbdiff_live.status import ControlStatus, EngineState, EngineStatus

LONG_REASON = (
    "cannot load stack 'pocket': jbdiff/weights/pocket/level2.safetensors holds 41 tensors that this version does "
    "not know (first: blocks.3.attention.to_q.weight [256, 256]) and lacks 3 that it needs (first: "
    "time_embedding.frequencies [128]). The file was probably written by an older training run. Remedy: run "
    "'scripts/fetch_checkpoints.py --stack pocket --verify', or start with '--stack tone' to check sound and "
    "MIDI without a model."
)


def play(demo: DemoTransport, seconds: float, look: Callable[[], None] = lambda: None) -> None:
    """Plays on in steps of a window's frame; `look` is called after each."""
    for _ in range(round(seconds * 30)):
        demo.advance(1 / 30)
        look()


def running(demo: DemoTransport, look: Callable[[], None] = lambda: None) -> None:
    demo.choose_midi_inputs(["nanoKONTROL2"])
    demo.load_context_file(demo.patches()["slow glass"].with_name("rhodes loop.wav"))
    demo.start()
    play(demo, 12.0, look)
    demo.hear_cc(74)
    demo.set_status(patch_values={"noise_step": 0.3, "resample": 0.0})
    demo.set_parameter("noise_step", 0.62)
    demo.set_parameter("noise_style", 2)
    demo.set_parameter("resample", 0.35)
    demo.trigger("reroll")
    look()


def loading(demo: DemoTransport, look: Callable[[], None] = lambda: None) -> None:
    demo.set_status(engine=EngineStatus(EngineState.LOADING, "loading the model: pocket"))
    look()


def warming(demo: DemoTransport, look: Callable[[], None] = lambda: None) -> None:
    demo.set_status(engine=EngineStatus(EngineState.WARMING, "warming up: trial block 2"))
    look()


def looping(demo: DemoTransport, look: Callable[[], None] = lambda: None) -> None:
    """No time for new blocks; a change waits, and a register plays."""
    running(demo, look)
    demo.set_parameter("noise_style", 4)
    demo.set_parameter("hold_changes", 2)
    demo.set_lfo("memory", Lfo(bars=4))
    demo.set_status(
        rung=Rung.REPEAT,
        engine=replace(demo.state.engine, rung=Rung.REPEAT, block_seconds=0.001),
        clock=ClockStatus(ClockSource.MIDI, ClockState.RUNNING, 124.0, 117, 4, countdown=3.2, waiting=2),
        audio=replace(demo.state.audio, limited=True),
    )
    look()


def no_device(demo: DemoTransport, look: Callable[[], None] = lambda: None) -> None:
    running(demo, look)
    problem = "Scarlett 2i2 USB is gone; plug it in again, or choose another output"
    demo.set_status(audio=replace(demo.state.audio, nowhere=True, problem=problem))
    look()


def failed(demo: DemoTransport, look: Callable[[], None] = lambda: None) -> None:
    demo.set_status(engine=EngineStatus(EngineState.FAILED, LONG_REASON))
    look()


def learning(demo: DemoTransport, look: Callable[[], None] = lambda: None) -> None:
    running(demo, look)
    demo.learn("guidance")
    look()


def coasting(demo: DemoTransport, look: Callable[[], None] = lambda: None) -> None:
    running(demo, look)
    demo.set_status(engine=replace(demo.state.engine, state=EngineState.COASTING, late_blocks=3, block_seconds=0.94,
                                   block_seconds_p99=1.2))  # fmt: skip
    play(demo, 1.2, look)
    demo.set_status(
        audio=replace(demo.state.audio, underruns=2, short_frames=30_000, limited=True,
                      problem="Scarlett 2i2 USB ran dry twice; a longer short ring (--short-ring) covers it"),
        control=ControlStatus(connected=("nanoKONTROL2",), missing=("Keystep Pro",), messages=9,
                              last_message="CC 7 = 101"),
    )  # fmt: skip
    look()


def switching(demo: DemoTransport, look: Callable[[], None] = lambda: None) -> None:
    """All of v1 plays, and pocket is being loaded."""
    running(demo, look)
    demo.stack_is_ready(StackChoice("v1"))
    demo.choose_stack(StackChoice("pocket"))
    look()


def recording(demo: DemoTransport, look: Callable[[], None] = lambda: None) -> None:
    running(demo, look)
    demo.start_recording()
    play(demo, 95.0, look)
    demo.set_parameter("mute", 1)
    demo.set_parameter("hold", 1)
    look()


STATES: dict[str, Callable[..., None]] = {
    "offline": lambda demo, look=lambda: None: look(),
    "running": running,
    "loading": loading,
    "warming": warming,
    "looping": looping,
    "no device": no_device,
    "failed": failed,
    "learning": learning,
    "coasting": coasting,
    "switching": switching,
    "recording": recording,
}
