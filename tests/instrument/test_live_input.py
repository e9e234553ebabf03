"""The live input behind its device: strip, memory, dry sound, feedback, and the beat on which it is played again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from servers import RAMP, ramp

from jbdiff_live.audio.live.aligned import aligned_end
from jbdiff_live.audio.live.chain import InputChain
from jbdiff_live.audio.live.delays import Delays
from jbdiff_live.audio.live.feedback import LOOK_SECONDS, FeedbackWatch
from jbdiff_live.audio.live.loopback import find, known_noise
from jbdiff_live.audio.live.monitor import DrySound, SentSound
from jbdiff_live.audio.live.past import InputPast
from jbdiff_live.audio.live.strip import CLOSE_SECONDS, InputStrip
from jbdiff_live.parameters import BY_NAME, Origin, ParameterStore

RATE = 44_100


def tone(seconds: float, level: float, hertz: float = 441.0) -> np.ndarray:
    wave = level * np.sin(2 * np.pi * hertz / RATE * np.arange(round(seconds * RATE)))
    return np.repeat(wave[:, None], 2, axis=1).astype(np.float32)


def through(
    strip: InputStrip, sound: np.ndarray, store: ParameterStore, chunk: int = 441
) -> tuple[np.ndarray, np.ndarray]:
    """The strip's sound and gate for a whole sound, in chunks."""
    sounds, gates = [], []
    for start in range(0, len(sound), chunk):
        made, gate = strip.process(sound[start : start + chunk], store.snapshot)
        sounds.append(made.copy())
        gates.append(gate.copy())
    return np.concatenate(sounds), np.concatenate(gates)


def knobs(**values: float) -> ParameterStore:
    store = ParameterStore()
    store.set_many({"input_gate": -50, **values}, Origin.UI)
    return store


def test_an_open_strip_leaves_every_sample_as_it_is() -> None:
    sound = tone(0.5, 0.5)
    strip, store = InputStrip(RATE, 2, 4096, 0), knobs()
    made, gate = through(strip, sound, store)
    opened = int(np.argmax(gate == 1.0))
    assert opened < 0.005 * RATE and np.array_equal(made[opened:], sound[opened:])
    assert strip.open and not strip.clipped and strip.peak == pytest.approx(0.5, rel=0.01)


def test_the_gate_has_hysteresis_and_fades() -> None:
    open_at, between, below = (10 ** (db / 20) for db in (-48, -53, -60))
    sound = np.concatenate([tone(0.3, between), tone(0.3, open_at), tone(0.5, between), tone(0.6, below)])
    for chunk in (1, 64, 4096):
        strip, store = InputStrip(RATE, 2, 4096, 0), knobs()
        if chunk == 1:
            sound_, step = sound[: RATE // 2], 7
        else:
            sound_, step = sound, chunk
        _, gate = through(strip, sound_, store, step)
        assert not gate[: int(0.29 * RATE)].any(), "between both thresholds a closed gate stays closed"
        assert gate[int(0.32 * RATE) : int(min(len(gate), 1.05 * RATE))].min() == 1.0, (
            "and an open one stays open"
        )
        if chunk > 1:
            assert gate[-1] == 0.0
            assert np.abs(np.diff(gate[int(0.35 * RATE) :])).max() <= 1.01 / (CLOSE_SECONDS * RATE)


def test_clip_is_held_until_it_is_put_out() -> None:
    strip, store = InputStrip(RATE, 2, 4096, 0), knobs()
    through(strip, np.concatenate([tone(0.1, 1.0), tone(1.0, 0.1)]), store)
    assert strip.clipped and strip.peak < 0.2
    strip.forget_clip()
    through(strip, tone(0.1, 0.1), store)
    assert not strip.clipped


def test_trim_is_turned_without_a_click_and_a_constant_voltage_is_taken_out() -> None:
    strip, store = InputStrip(RATE, 2, 4096), knobs(input_gate=-80)
    sound = tone(0.2, 0.1, 440.0)  # whole turns: its end meets its beginning
    parts = [through(strip, sound, store)[0]]
    for name, value in (("input_trim", 12), ("input_trim", 3), ("input_trim", -6)):
        store.set(name, value, Origin.UI)
        parts.append(through(strip, sound, store)[0])
    made = np.concatenate(parts)[441:]
    steepest = 0.1 * 10 ** (12 / 20) * 2 * np.pi * 440 / RATE
    assert np.abs(np.diff(made, axis=0)).max() < 1.3 * steepest
    assert np.abs(made[-2000:]).max() == pytest.approx(0.1 * 10 ** (-6 / 20), rel=0.02)
    constant = np.full((RATE, 2), 0.3, np.float32)
    assert np.abs(through(strip, constant, store)[0][-100:]).max() < 1e-3, "a constant voltage is taken out"


def test_nan_becomes_silence() -> None:
    strip, store = InputStrip(RATE, 2, 4096, 0), knobs()
    bad = tone(0.1, 0.2)
    bad[100], bad[200] = np.nan, np.inf
    assert np.isfinite(through(strip, np.concatenate([bad, tone(0.1, 0.2)]), store)[0]).all()


@pytest.mark.parametrize("chunk", [1, 441, 5000])
def test_every_sample_with_channel_and_number_comes_through_the_memory(chunk: int) -> None:
    chain = InputChain(RATE, seconds=1.0)
    chain.begin(RATE, 0.0, another=True)
    sound = ramp(1, (2 * RATE if chunk > 1 else 3000) // chunk * chunk)
    for start in range(0, len(sound), chunk):
        chain.take(sound[start : start + chunk], start / RATE)
    kept = min(RATE, len(sound))
    assert np.array_equal(chain.past.sound(kept), sound[-kept:])
    assert np.array_equal(chain.past.sound(100, len(sound) - 500), sound[-600:-500])
    assert not chain.past.sound(10, len(sound) + 10).any(), "the future is silent"


def test_channels_are_chosen_and_a_mono_device_sounds_on_both_sides() -> None:
    four = np.tile(np.arange(1, 5, dtype=np.float32) / 8, (100, 1))
    for channels, wanted in (((), (1, 2)), ((3,), (3, 3)), ((4, 2), (4, 2))):
        chain = InputChain(RATE, seconds=1.0, channels=channels)
        chain.begin(RATE, 0.0, another=True)
        chain.take(four, 0.0)
        assert chain.past.sound(1)[0].tolist() == [n / 8 for n in wanted]
    mono = InputChain(RATE, seconds=1.0)
    mono.begin(RATE, 0.0, another=True)
    mono.take(four[:, :1], 0.0)
    assert mono.past.sound(1)[0].tolist() == [1 / 8, 1 / 8]
    assert InputChain(RATE, channels=(5,)).missing(4) == "it has 4 channels, not channel 5"
    with pytest.raises(ValueError, match="one or two"):
        InputChain(RATE, channels=(0,))


def test_a_48_khz_device_keeps_its_pitch() -> None:
    chain = InputChain(RATE, seconds=2.0)
    chain.begin(48_000, 0.0, another=True)
    wave = (0.5 * np.sin(2 * np.pi * 441 / 48_000 * np.arange(48_000)))[:, None].astype(np.float32)
    for start in range(0, len(wave), 480):
        chain.take(wave[start : start + 480], start / 48_000)
    heard = chain.past.sound(RATE // 2)[:, 0]
    assert 2 * int(np.argmax(np.abs(np.fft.rfft(heard)))) == pytest.approx(441, abs=2)


def test_another_device_begins_a_new_memory_and_the_same_one_does_not() -> None:
    past = InputPast(1.0, RATE, 2)
    past.write(np.ones((100, 2), np.float32), np.ones(100, np.float32))
    past.begin_anew()
    assert not past.sound(100).any() and past.frames == 100


class Dry:
    """The dry sound through an output stage's delay, chunk by chunk."""

    AHEAD = 441

    def __init__(self, level: float = 0.0) -> None:
        self.dry = DrySound(RATE, 2, 512, self.AHEAD)
        self.store = ParameterStore()
        self.store.set("dry", level, Origin.UI)

    def hear(self, chunk: int = 256, cut: bool = False) -> np.ndarray:
        nothing, new, out = (np.zeros((chunk, 2), np.float32) for _ in range(3))
        if self.dry.take(chunk, self.store.snapshot, 1.0, cut):
            self.dry.lay_over(nothing, nothing, new, out)
        self.dry.move_on(chunk)
        return out


def test_the_dry_input_never_clicks_when_its_device_stops_comes_back_or_runs_faster() -> None:
    rig, heard = Dry(), []
    phase = 0

    def give(frames: int) -> None:
        nonlocal phase
        wave = 0.5 * np.cos(2 * np.pi * 100 / RATE * (phase + np.arange(frames)))
        rig.dry.write(np.repeat(wave[:, None], 2, axis=1).astype(np.float32))
        phase += frames

    for n in range(600):
        gone = 150 < n < 250
        if not gone:
            give(300 if n > 300 else 256)  # a device that runs much faster from there on
        heard.append(rig.hear(cut=550 < n < 560))
    sound = np.concatenate(heard)
    assert np.abs(sound).max() > 0.49
    steepest = 0.5 * 2 * np.pi * 100 / RATE
    assert np.abs(np.diff(sound, axis=0)).max() < steepest + 1.5 * 0.5 / 220, (
        "a fade of 5 ms is the steepest change"
    )
    assert not sound[552 * 256 + 441 : 559 * 256].any(), "cut is silence"


def test_dry_at_its_lowest_is_nothing_and_the_whole_sound_else() -> None:
    rig = Dry(BY_NAME["dry"].low)
    rig.dry.write(ramp(1, 8192))
    assert not any(rig.hear().any() for _ in range(20))
    rig = Dry()
    heard = []
    for start in range(0, 20_480, 256):
        rig.dry.write(ramp(start + 1, 256))
        heard.append(rig.hear())
    sound = np.concatenate(heard)
    first = int(np.flatnonzero(sound[:, 0])[0])
    inside = sound[first + 1200 :]
    steps = np.diff(inside[:, 0]) / RAMP
    assert np.all(steps == 1.0) and np.array_equal(inside[:, 1], -inside[:, 0]), (
        "not one sample is lost or swapped"
    )


class Loop:
    """A room: what is sent comes back after a delay, `gain` times as loud; the input goes to the output, ducked."""

    def __init__(self, gain: float, delay: float = 0.2) -> None:
        self.watch = FeedbackWatch(RATE)
        self.sent, self.came = SentSound(4.0, RATE, 512), InputPast(4.0, RATE, 2)
        self.gain, self.delay = gain, round(delay * RATE)
        self.noise = np.random.default_rng(4)
        self.peaks: list[float] = []
        self._line = np.zeros(self.delay, np.float32)

    def run(self, seconds: float, music: float, closed: bool = True) -> None:
        looked = 0
        for _ in range(0, round(seconds * RATE), 441):
            came = np.clip(self.gain * self._line[:441], -1, 1)
            own = (music * self.noise.standard_normal(441)).astype(np.float32)
            out = np.clip(own + (self.watch.duck * came if closed else 0), -1, 1).astype(np.float32)
            self._line = np.concatenate([self._line[441:], out])
            self.sent.write(np.repeat(out[:, None], 2, axis=1))
            self.came.write(np.repeat(came[:, None], 2, axis=1).astype(np.float32), np.ones(441, np.float32))
            self.peaks.append(float(np.abs(out).max()))
            looked += 441
            if looked >= LOOK_SECONDS * RATE:
                looked = 0
                frames = self.watch.frames
                self.watch.look(self.sent.latest(frames), self.came.mono(frames)[0])


def test_a_loop_that_howls_is_noticed_turned_down_and_let_up_again() -> None:
    loop = Loop(gain=1.6)
    loop.run(4.0, 0.001)
    loop.run(5.0, 0.001)
    assert loop.watch.duck < 0.6 and "feedback" in loop.watch.problem
    assert max(loop.peaks[-100:]) < 0.2, "the howl has died away"
    loop.gain = 0.1  # the microphone was moved
    loop.run(25.0, 0.001)
    assert loop.watch.duck == 1.0 and loop.watch.problem == ""


def test_a_room_that_is_steady_and_a_player_who_gets_louder_are_no_feedback() -> None:
    room = Loop(gain=0.3)
    room.run(8.0, 0.05, closed=False)
    assert room.watch.duck == 1.0
    watch, noise = FeedbackWatch(RATE), np.random.default_rng(1)
    for level in (0.01, 0.03, 0.1, 0.3):
        swell = np.linspace(level, 3 * level, watch.frames) * noise.standard_normal(watch.frames)
        watch.look((0.2 * noise.standard_normal(watch.frames)).astype(np.float32), swell.astype(np.float32))
    assert watch.duck == 1.0 and watch.problem == ""


def test_a_piece_ends_a_whole_number_of_beats_before_it_sounds() -> None:
    assert aligned_end(1000, 500.0, 900.0, 0.0) == 1000, "without a beat: the newest"
    end = aligned_end(100_000, 80_000.0, 130_000.0, 22_050.0)
    assert end <= 100_000, "nothing of the future"
    heard = 80_000 + (end - 100_000)  # frame of the output that the player heard with the piece's end
    assert (130_000 - heard) % 22_050 == 0 and 130_000 - heard < 50_000 + 22_050


def test_the_known_noise_is_found_in_a_room_and_nowhere_else() -> None:
    noise = known_noise(RATE)
    rng = np.random.default_rng(2)
    room = 0.02 * rng.standard_normal(4 * RATE).astype(np.float32)
    assert find(noise, room) is None and find(noise, np.zeros(RATE, np.float32)) is None
    room[54_321 : 54_321 + len(noise)] += 0.05 * noise
    assert find(noise, room) == 54_321
    assert find(noise, -room) == 54_321, "a swapped cable turns the sign"


def test_delays_are_kept_by_pair_of_devices(tmp_path: Path) -> None:
    path = tmp_path / "new" / "loopback.toml"
    kept = Delays(path)
    kept.keep("ALSA: A (hw:0,0)", "USB: Mic", 0.0123)
    kept.keep("JACK: system", "USB: Mic", -0.002)
    again = Delays(path)
    assert again.of("ALSA: A (hw:0,0) (44100 Hz resampled to 48000)", "USB: Mic") == 0.0123
    assert again.of("JACK: system", "USB: Mic") == -0.002 and again.of("JACK: system", "other") is None
    path.write_text("[a]\nb = 'much'\n")
    assert Delays(path).of("a", "b") is None
