"""The loopback wizard: play a noise of known samples, find it in the input, and return the delay between the two.

One thread, the caller's. It blocks for some seconds. Output and input keep time as they do on stage, so the result is
what the devices' own latencies leave out. A cable, or a microphone at the loudspeaker, must lead from output to input.
"""

from __future__ import annotations

import threading
import time

import numpy as np
from numpy.typing import NDArray

from jbdiff_live.audio.live.delays import LONGEST_SECONDS
from jbdiff_live.audio.sink import DeviceError
from jbdiff_live.audio.switch import AudioSwitch
from jbdiff_live.parameters import ParameterStore
from jbdiff_live.ring import RingBuffer

BEFORE_SECONDS, NOISE_SECONDS = 2.0, 0.5  # silence in which both clocks settle, and the noise
LEVEL = 0.25
CLEAR = 8.0  # the correlation's peak over its root mean square, above which it is no accident
PATIENCE_SECONDS = 15.0


def known_noise(sample_rate: int) -> NDArray[np.float32]:
    """Return a maximum length sequence of two levels, `[frames]`: it correlates with itself at one place only."""
    register, frames = 1, round(NOISE_SECONDS * sample_rate)
    bits = np.zeros(frames, np.float32)
    for n in range(frames):  # 16 bits, taps 16, 15, 13, 4: repeats after 65535 frames
        bits[n] = register & 1
        bit = (register ^ (register >> 1) ^ (register >> 3) ^ (register >> 12)) & 1
        register = (register >> 1) | (bit << 15)
    return (LEVEL * (2 * bits - 1)).astype(np.float32)


def find(noise: NDArray[np.float32], came: NDArray[np.float32]) -> int | None:
    """Return the frame of `came` at which the noise begins, or None if it is not in it. Both are `[frames]`."""
    size = 1 << (len(noise) + len(came)).bit_length()
    cross = np.fft.irfft(np.fft.rfft(came, size) * np.conj(np.fft.rfft(noise, size)), size)[: len(came)]
    place = int(np.argmax(np.abs(cross)))
    usual = float(np.sqrt(np.mean(cross**2)))
    return place if usual > 0 and abs(cross[place]) > CLEAR * usual else None


def measure(output: str | None, name: str, sample_rate: int) -> tuple[str, str, float]:
    """Return the names of output and input, and the seconds by which the input is late. DeviceError: no noise came.

    The input's delay may be negative, if a device says that it is slower than it is.
    """
    noise = known_noise(sample_rate)
    begins = round(BEFORE_SECONDS * sample_rate)
    sound = np.zeros((begins + len(noise) + round((LONGEST_SECONDS + 1) * sample_rate), 2), np.float32)
    sound[begins : begins + len(noise)] = noise[:, None]
    ring, store = RingBuffer(len(sound), 2), ParameterStore()
    ring.write(sound)
    switch = AudioSwitch(ring, lambda: store.snapshot, sample_rate, 4096, raw_input=True)
    try:
        switch.open(output)
        switch.listen(name)
        switch.begin()
        switch.block_made(1)
        return _measure(switch, noise, begins, begins + len(noise) + round(LONGEST_SECONDS * sample_rate))
    finally:
        switch.close()
        switch.listen("")


def _measure(
    switch: AudioSwitch, noise: NDArray[np.float32], begins: int, ends: int
) -> tuple[str, str, float]:
    """Wait until frame `ends` is audible, and compare what came with the noise that was written at frame `begins`."""
    rate, pause, until = switch.sample_rate, threading.Event(), time.monotonic() + PATIENCE_SECONDS
    offsets: list[float] = []  # frame of the output minus frame of the input, as the devices say
    while switch.frames_heard < ends:
        if time.monotonic() > until:
            raise DeviceError(f"the output does not play: {switch.status().problem or 'no frame was taken'}")
        pause.wait(0.05)
        said = switch.input_place()
        if said is not None and switch.frames_heard > begins // 2:
            newest, heard = said
            offsets.append(heard - newest)
    status = switch.status()
    newest = switch.input_frames
    came = switch.input_sound(ends, newest)
    if came is None or not offsets:
        raise DeviceError(f"nothing comes in from {status.input_device or 'the input'}; check the cable")
    place = find(noise, came)
    if place is None:
        raise DeviceError(
            f"the test noise was not found in {status.input_device}; lead {status.device} into it by a cable, or turn "
            "up both levels"
        )
    first = newest - ends  # frame of the input at which `came` begins
    late = first + place + float(np.median(offsets)) - begins
    return status.device, status.input_device, late / rate
