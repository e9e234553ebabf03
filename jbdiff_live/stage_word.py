"""The state word: what the audience hears now, with the reason and the remedy. A pure function of `Status`.

A remedy names the place where the player finds it: the settings view of the window, or an option of the command line.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from jbdiff_live.block import Rung
from jbdiff_live.scenes.view import GO_ON
from jbdiff_live.status import EngineState, Held, Status

STALLED_SECONDS = 1.5  # longer than PulseAudio's measured pauses of 1.3 s
QUIET_SECONDS = 2.0  # a rest in music is shorter
NO_DEVICE = "NO DEVICE"
SIMPLER = "blocks are simpler for now: the machine is short of time"
STEPS = 3  # steps of getting ready: load, warm up, make the first block


class Word(Enum):
    STOPPED = "STOPPED"
    GETTING_READY = "GETTING READY"
    READY = "READY"
    PLAYING = "PLAYING"
    LOOPING = "LOOPING"
    SILENT = "SILENT"
    FAILED = "FAILED"


@dataclass(frozen=True)
class StageWord:
    """The state word, with its reason.

    `why` is a sentence: the reason, then the remedy. `step` counts from 1 while the instrument gets ready. `device` is
    a second word for the output: "NO DEVICE" while the sound goes nowhere, else empty. `alarm` is True if the audience
    should hear music and hears nothing. Only this state is shown in red. `wanted` is True if the player asked for what
    `why` says, so that it is no fault.
    """

    word: Word
    why: str = ""
    step: int = 0
    alarm: bool = False
    device: str = ""
    wanted: bool = False

    @property
    def music(self) -> str:
        """The first word: what the music does."""
        return f"{self.word.value} {self.step} of {STEPS}" if self.step else self.word.value

    @property
    def text(self) -> str:
        """Both words: "LOOPING, NO DEVICE"."""
        return f"{self.music}, {self.device}" if self.device else self.music


HELD = {
    Held.PANIC: "panic: the music begins again with the next block",
    Held.MUTE: "Mute is on; switch it off (M)",
    Held.GAIN: "Gain is at its lowest position; turn it up",
}


def lighter(status: Status, terminal: bool = False) -> str:
    """Return what makes a block cheaper, as advice: only what the stack has, and where it is chosen."""
    stack, ways = status.stack, ["close other programs"]
    choices = [("fewer Steps", "fewer --steps")] if stack.steps is None or stack.steps > 1 else []
    choices += [("fewer Levels", "fewer --levels")] if len(stack.levels) > 1 else []
    choices += [("a longer Block", "a longer --hop")] if stack.hop is not None else []
    if choices:
        words = " or ".join(choice[terminal] for choice in choices)
        ways.append(f"start again with {words}" if terminal else f"choose {words} in the settings (F4)")
    return ", or ".join(ways)


def stage_word(status: Status, terminal: bool = False) -> StageWord:
    """Return the word for this moment. The first rule that holds decides.

    terminal: the player has no window, so remedies name options of the command line.
    """
    engine, audio = status.engine, status.audio
    if engine.state is EngineState.FAILED:
        return StageWord(
            Word.FAILED, engine.detail or "the engine gave no reason; press start again", alarm=True
        )
    if engine.state is EngineState.OFFLINE:
        return StageWord(Word.STOPPED, "Space starts")
    if engine.state is EngineState.READY:
        return StageWord(Word.READY, "Space starts at once")
    if engine.state is EngineState.STOPPING:
        return StageWord(Word.STOPPED, engine.detail)
    if engine.state is EngineState.LOADING:
        return StageWord(Word.GETTING_READY, engine.detail or "loading the model", step=1)
    if engine.state is EngineState.WARMING:
        return StageWord(Word.GETTING_READY, engine.detail, step=2)
    if not audio.running and audio.problem and not audio.nowhere:  # the feeder has ended
        return StageWord(Word.SILENT, f"{audio.problem}; press stop, then start", alarm=True)
    if engine.blocks_made == 0 or not audio.running:
        return StageWord(Word.GETTING_READY, "making the first block", step=3)
    music = _music(status, terminal)
    return _without_device(music, audio.problem, terminal) if audio.nowhere else music


def _music(status: Status, terminal: bool) -> StageWord:
    """Return the word for music that runs, as if the device were there."""
    silence = _silence(status, terminal)
    if silence:
        return StageWord(Word.SILENT, silence, alarm=True)
    if status.rung in (Rung.LOOP, Rung.REPEAT):
        return StageWord(
            Word.LOOPING,
            f"there is no time for new blocks, so the last sound plays again; {lighter(status, terminal)}",
        )
    blemish, older = _blemish(status), _older(status)
    if older and (not blemish or blemish == SIMPLER):  # simpler blocks come with the next new music
        return StageWord(Word.PLAYING, older, wanted=True)
    return StageWord(Word.PLAYING, blemish)


def _without_device(music: StageWord, problem: str, terminal: bool) -> StageWord:
    """Add the device's word to that of the music. problem: why the device is missing; empty if null was chosen."""
    remedy = "start again with --device" if terminal else "choose an Output in the settings (F4)"
    why = problem or f"the null device was chosen: it is silent, but takes are recorded; {remedy}"
    if music.word is not Word.PLAYING and music.why:
        why = f"{music.why}; {why}"
    return StageWord(music.word, why, alarm=bool(problem), device=NO_DEVICE)


def _silence(status: Status, terminal: bool) -> str:
    """Return why the audience hears nothing although the music runs. Empty if it hears something."""
    engine, audio = status.engine, status.audio
    if audio.stalled_seconds > STALLED_SECONDS:
        return f"{audio.device} takes no sound any more; restart its sound server, or choose another output"
    if audio.held is not Held.NOTHING:
        return HELD[audio.held]
    if engine.beginning:
        return HELD[Held.PANIC]
    if engine.state is EngineState.COASTING:
        return f"the next block is late; {lighter(status, terminal)}"
    if audio.quiet_seconds > QUIET_SECONDS:
        return "the stack makes silence; turn Noise up, or press Panic to begin again"
    return ""


def _blemish(status: Status) -> str:
    """Return the fault of the sound that the audience hears. Empty if there is none."""
    audio = status.audio
    if audio.problem:
        return audio.problem
    if audio.holes_lately:
        holes = f"{audio.holes_lately} hole{'s' * (audio.holes_lately != 1)} in the last ten seconds"
        longer = (
            "" if audio.latency_seconds <= audio.usual_latency_seconds else "more sound is kept ready now; "
        )
        return f"{holes}; {longer}if they go on, close other programs"
    return SIMPLER if status.rung not in (None, Rung.FULL) else ""


def _older(status: Status) -> str:
    """Return which older music plays again after a jump back. Empty if it is new music."""
    if status.past.ago is None:
        return ""
    ago = round(status.past.ago)
    return f"again: {ago} s back; {GO_ON}"
