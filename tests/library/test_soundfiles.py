"""Sound files as they come: cut off, put together, far too loud, hours long, with a header that lies."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from jbdiff.audio.files import ReadingStopped, audio_blocks, read_audio, read_mono
from jbdiff.audio.sound_bytes import _mpeg_frame, mpeg_header
from jbdiff.audio.sound_facts import SilentSound, SoundFacts, UnusableSound

RATE = 44_100


def tone(seconds: float, channels: int = 1, level: float = 0.3, rate: int = RATE) -> np.ndarray:
    """float32 `[frames, channels]`."""
    wave = level * np.sin(2 * np.pi * 220 * np.arange(int(seconds * rate)) / rate)
    return np.repeat(wave[:, None], channels, 1).astype(np.float32)


def frames_of(path: Path) -> tuple[int, list[str]]:
    """Frames that are read of a file, and what is said of it."""
    facts = SoundFacts()
    return sum(len(block) for block in audio_blocks(path, RATE, facts=facts)), facts.notes


# ---------------------------------------------------------------------- headers that lie


def patched(data: bytes, place: int, new: bytes) -> bytes:
    return data[:place] + new + data[place + len(new) :]


def written(kind: str, subtype: str = "PCM_16", seconds: float = 1) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, tone(seconds, 2), RATE, subtype=subtype, format=kind)
    return file.getvalue()


def headers_without_length() -> Iterator[tuple[str, bytes]]:
    """Files as a recorder leaves them that was killed, or a program that wrote into a pipe."""
    for kind, subtype in (("WAV", "PCM_16"), ("WAV", "FLOAT"), ("WAVEX", "PCM_24")):
        data = written(kind, subtype)
        place = data.index(b"data") + 4
        for name, riff, length in (("0 and 0", 0, 0), ("36 and 0", 36, 0), ("all but the data", None, 0),
                                   ("too small", None, 400), ("unknown", 0xFFFFFFFF, 0xFFFFFFFF)):  # fmt: skip
            new = data if riff is None else patched(data, 4, struct.pack("<I", riff))
            yield f"{kind} {subtype}, {name}", patched(new, place, struct.pack("<I", length))
    data = written("RF64")
    for name, lengths in (("zeros", bytes(24)), ("unknown", b"\xff" * 24)):
        yield f"RF64, {name}", patched(data, data.index(b"ds64") + 8, lengths)
    yield "AU, zero", patched(written("AU"), 8, bytes(4))
    data = written("CAF")
    for name, length in (("zero", bytes(8)), ("unknown", b"\xff" * 8)):
        yield f"CAF, {name}", patched(data, data.index(b"data") + 4, length)


@pytest.mark.parametrize(
    ("name", "data"), [pytest.param(*case, id=case[0]) for case in headers_without_length()]
)
def test_a_file_whose_header_lacks_its_length_is_read_to_its_end(
    name: str, data: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "sound.wav"
    path.write_bytes(data)
    assert frames_of(path)[0] == RATE, name


def test_a_header_that_names_too_little_is_mentioned(tmp_path: Path) -> None:
    data = written("WAV")
    path = tmp_path / "sound.wav"
    path.write_bytes(patched(data, data.index(b"data") + 4, struct.pack("<I", 400)))
    assert "too short a length" in frames_of(path)[1][0]


def test_chunks_behind_the_sound_are_no_sound(tmp_path: Path) -> None:
    """A picture of the cover, or a list of names, may follow; and a file may really be empty."""
    path = tmp_path / "sound.wav"
    path.write_bytes(written("WAV") + b"id3 " + struct.pack("<I", 100_000) + bytes(100_000))
    assert frames_of(path) == (RATE, [])
    data = written("WAV")
    empty = patched(data, data.index(b"data") + 4, bytes(4))[: data.index(b"data") + 8]
    path.write_bytes(empty + b"LIST" + struct.pack("<I", 4) + b"INFO")
    with pytest.raises(ValueError, match="holds no samples"):
        frames_of(path)


@pytest.mark.parametrize("kind", ["WAV", "OGG", "AIFF", "CAF", "AU", "W64", "MP3"])
def test_a_file_that_is_cut_short_gives_what_is_there_and_says_so(kind: str, tmp_path: Path) -> None:
    subtypes = {"OGG": "VORBIS", "MP3": "MPEG_LAYER_III"}
    data = written(kind, subtypes.get(kind, "PCM_16"), 20)
    path = tmp_path / "sound"
    path.write_bytes(data)
    assert frames_of(path)[1] == []
    path.write_bytes(data[: len(data) * 2 // 3])
    frames, notes = frames_of(path)
    assert 6 * RATE < frames < 18 * RATE
    assert "cut short" in notes[0]


@pytest.mark.parametrize("damage", ["cut off", "a broken frame", "one wrong byte", "zeros to its end"])
@pytest.mark.parametrize("length_known", [True, False])
def test_a_damaged_flac_gives_what_lies_before_the_damage_and_says_so(
    damage: str, length_known: bool, tmp_path: Path
) -> None:
    path, data = tmp_path / "sound.flac", written("FLAC", seconds=20)
    if not length_known:  # as in the test of a pipe below
        data = patched(data, 21, bytes([data[21] & 0xF0]) + bytes(4))
    path.write_bytes(data)
    whole, _ = read_audio(path, RATE)
    half = len(data) // 2
    path.write_bytes(
        {
            "cut off": data[:half],
            "a broken frame": patched(data, half, bytes(3000)),
            "one wrong byte": patched(data, half, bytes([data[half] ^ 0xFF])),
            "zeros to its end": data[:half] + bytes(len(data) - half),
        }[damage]
    )
    frames, notes = frames_of(path)
    assert 6 * RATE < frames < 14 * RATE
    (note,) = notes
    assert "cut short or damaged" in note and ("of its 20.0 s" in note) == length_known
    np.testing.assert_array_equal(read_audio(path, RATE)[0], whole[:frames])


def test_a_flac_that_is_damaged_from_its_beginning_is_refused(tmp_path: Path) -> None:
    path, data = tmp_path / "sound.flac", written("FLAC")
    path.write_bytes(data[: data.index(b"\xff\xf8") + 40])  # the two bytes begin its first frame
    with pytest.raises(OSError, match=r"sound\.flac.*convert it to WAV or FLAC"):
        frames_of(path)


def test_zeros_that_fill_a_file_up_are_no_sound(tmp_path: Path) -> None:
    """Of 8 bits, a byte of 0 is the lowest value: they would be heard as a thump at full scale."""
    path = tmp_path / "sound.wav"
    path.write_bytes(written("WAV", "PCM_U8") + bytes(200_000))
    assert frames_of(path) == (RATE, [])


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "it is empty; record or export it again"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 5\n",
            "`git lfs pull` in its folder",
        ),
        (b"\n<!DOCTYPE html><html>Not found</html>", "it is a web page in the place of the sound"),
        (b"some other text", "convert it to WAV or FLAC"),
    ],
)
def test_what_stands_in_the_place_of_a_sound_is_named(data: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    path.write_bytes(data)
    with pytest.raises(OSError, match=r"sound\.wav.*" + words):
        frames_of(path)


def test_a_flac_from_a_pipe_is_read(tmp_path: Path) -> None:
    """Its header says 0 samples: unknown."""
    data = written("FLAC")
    # STREAMINFO begins at 8; the number of samples has 36 bits from the middle of its byte 13 on.
    data = patched(data, 21, bytes([data[21] & 0xF0]) + bytes(4))
    path = tmp_path / "sound.flac"
    path.write_bytes(data)
    assert frames_of(path)[0] == RATE


# ---------------------------------------------------------------------- MP3


def mp3(seconds: float, bitrate: float = 0.5) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, tone(seconds), RATE, format="MP3", subtype="MPEG_LAYER_III", compression_level=bitrate,
                    bitrate_mode="CONSTANT")  # fmt: skip
    return file.getvalue()


def without_xing(data: bytes) -> bytes:
    """An MP3 without its first frame, which says how long it is."""
    assert b"Xing" in data[:100] or b"Info" in data[:100]
    return data[_mpeg_frame(data[:4])[0] :]


def test_an_mp3_of_two_bit_rates_without_a_length_is_read_to_its_end(tmp_path: Path) -> None:
    """libsndfile takes the length from the first bit rate: a high one makes the rest vanish."""
    path = tmp_path / "sound.mp3"
    path.write_bytes(without_xing(mp3(1, 0.0)) + without_xing(mp3(9, 0.8)))
    assert soundfile.info(path).frames < 6 * RATE, "else the file shows nothing"
    frames, notes = frames_of(path)
    assert abs(frames - 10 * RATE) < 0.3 * RATE and notes == []


def test_mp3s_that_were_put_together_are_read_as_one(tmp_path: Path) -> None:
    """Each of them says its own length; that of the first was taken for all."""
    path = tmp_path / "sound.mp3"
    path.write_bytes(3 * mp3(2))
    assert soundfile.info(path).frames < 3 * RATE
    assert abs(frames_of(path)[0] - 6 * RATE) < 0.3 * RATE


def test_an_mp3_that_ends_in_the_middle_of_a_frame_is_read_so_far(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp3"
    data = without_xing(mp3(1, 0.0)) + without_xing(mp3(9, 0.8))
    path.write_bytes(data[: len(data) * 2 // 3 + 7])
    frames, _ = frames_of(path)
    assert 4 * RATE < frames < 9 * RATE


def test_an_honest_mp3_is_taken_at_its_word(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp3"
    path.write_bytes(mp3(2))
    header = mpeg_header(path, soundfile.info(path).frames)
    assert not header.endless and frames_of(path) == (2 * RATE, [])


def test_ogg_streams_one_behind_the_other_are_all_read(tmp_path: Path) -> None:
    """As they come from a radio that begins a stream for each song."""
    path = tmp_path / "sound.ogg"
    path.write_bytes(2 * written("OGG", "VORBIS"))
    assert soundfile.info(path).frames == RATE
    assert frames_of(path)[0] == 2 * RATE


def test_what_lies_behind_a_flac_is_mentioned(tmp_path: Path) -> None:
    path = tmp_path / "sound.flac"
    noise = np.random.default_rng(0).standard_normal((3 * RATE, 2)).astype(np.float32) * 0.1
    soundfile.write(path, noise, RATE)
    path.write_bytes(2 * path.read_bytes())
    frames, notes = frames_of(path)
    assert frames == 3 * RATE and "left out" in notes[0]


# ---------------------------------------------------------------------- bounded memory


CHILD = """
import resource, sys
from pathlib import Path
from jbdiff.audio.files import audio_blocks, read_mono
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
sound = read_mono(sys.argv[1], 44_100, 60 * 44_100)
longest = max(len(block) for block in audio_blocks(sys.argv[1], 44_100))
print(len(sound.samples), longest, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024, *sound.notes)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss has another unit")
def test_a_long_file_takes_no_more_memory_than_what_is_kept_of_it(tmp_path: Path) -> None:
    """Twenty minutes have 423 MB in two channels, and 30 kB as a file; the minute that is kept has 11 MB in one."""
    path = tmp_path / "long.flac"
    with soundfile.SoundFile(path, "w", RATE, 2, "PCM_16") as file:
        minute = np.zeros((60 * RATE, 2), np.int16)
        minute[0] = 9_000
        for _ in range(20):
            file.write(minute)
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(path)], capture_output=True, text=True, check=True
    )
    frames, longest, megabytes, notes = done.stdout.split(maxsplit=3)
    assert int(frames) == 60 * RATE and "only the first 60 seconds are used" in notes
    assert int(longest) <= 1 << 18
    assert int(megabytes) < 100, "beyond what the program has anyway"


@pytest.mark.parametrize("rate", [1, 100, 999, 3_000_000, 2_147_483_647])
def test_a_rate_that_no_sound_has_is_refused_at_once(rate: int, tmp_path: Path) -> None:
    """200 kB at 1 Hz would be 18 GB at 44.1 kHz."""
    path = tmp_path / "sound.wav"
    data = written("WAV")
    path.write_bytes(patched(data, data.index(b"fmt ") + 12, struct.pack("<I", rate)))
    with pytest.raises(ValueError, match="samples a second; write the true rate"):
        frames_of(path)


def test_many_channels_come_in_small_blocks(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    soundfile.write(path, np.full((3000, 512), 0.1, np.float32) * np.sin(np.arange(3000))[:, None], 48_000)
    blocks = list(audio_blocks(path, RATE))
    assert len(blocks) > 2 and max(block.nbytes for block in blocks) < 4 << 20


def test_reading_stops_where_nobody_wants_it_any_more(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    soundfile.write(path, tone(20), RATE)
    asked = []

    def keep_going() -> bool:
        asked.append(1)
        return len(asked) < 2

    with pytest.raises(ReadingStopped):
        read_mono(path, RATE, 100 * RATE, keep_going=keep_going)
    assert len(asked) == 2


def test_only_what_is_wanted_is_held(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    soundfile.write(path, (np.arange(30 * RATE) % 30_000).astype(np.int16), RATE)
    whole = read_mono(path, RATE, 100 * RATE).samples
    assert len(whole) == 30 * RATE
    assert np.array_equal(read_mono(path, RATE, 5 * RATE).samples, whole[: 5 * RATE])
    assert np.array_equal(read_mono(path, RATE, 7 * RATE, end=True).samples, whole[-7 * RATE :])
    with pytest.raises(UnusableSound, match=r"longer than 0\.25 minutes"):
        read_audio(path, RATE, longest_seconds=15)


# ---------------------------------------------------------------------- what is in the samples


@pytest.mark.parametrize(("level", "decibels"), [(32_768.0, 90), (3.0, 10), (2.1e9, 186)])
def test_samples_beyond_full_scale_are_turned_down_and_that_is_said(
    level: float, decibels: int, tmp_path: Path
) -> None:
    """Whole numbers that were written as floats, or a mix that went over."""
    path = tmp_path / "sound.wav"
    soundfile.write(path, tone(1, 2, level), RATE, subtype="FLOAT")
    sound = read_mono(path, RATE, RATE)
    assert np.abs(sound.samples).max() == pytest.approx(1, abs=0.01)
    assert any(f"turned down by {decibels} dB" in note for note in sound.notes)


def test_a_little_beyond_full_scale_is_turned_down_quietly(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    soundfile.write(path, tone(1, 1, 1.05), RATE, subtype="FLOAT")
    sound = read_mono(path, RATE, RATE)
    assert np.abs(sound.samples).max() <= 1 and sound.notes == ()


@pytest.mark.parametrize("level", [1e20, 1e38])
def test_samples_that_no_sound_has_are_refused(level: float, tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    soundfile.write(path, tone(1, 2, level), RATE, subtype="FLOAT")
    with pytest.raises(UnusableSound, match=r"sound.wav.*times full scale.*export it again"):
        read_mono(path, RATE, RATE)


def test_one_damaged_sample_does_not_silence_the_rest_without_a_word(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    sound = tone(5)
    sound[1000] = 1e6
    soundfile.write(path, sound, RATE, subtype="FLOAT")
    with pytest.raises(UnusableSound, match=r"single samples reach 1e\+06"):
        read_mono(path, RATE, 5 * RATE)


def test_channels_that_cancel_each_other_are_not_silence(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    sound = tone(1, 2)
    sound[:, 1] *= -1
    soundfile.write(path, sound, RATE, subtype="FLOAT")
    read = read_mono(path, RATE, RATE)
    assert np.array_equal(read.samples, sound[:, 0])
    assert any("cancel each other" in note for note in read.notes)


def test_of_channels_that_cancel_each_other_one_that_sounds_is_used(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    sound = tone(1, 3)
    sound[:, 0], sound[:, 2] = 0, -sound[:, 2]
    soundfile.write(path, sound, RATE, subtype="FLOAT")
    read = read_mono(path, RATE, RATE)
    assert np.array_equal(read.samples, sound[:, 1])
    assert any("channel 2 alone" in note for note in read.notes)


def test_wide_stereo_and_one_sounding_channel_of_many_do_not_count_as_cancelled(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    rng = np.random.default_rng(0)
    soundfile.write(path, 0.1 * rng.standard_normal((RATE, 2)), RATE)
    assert read_mono(path, RATE, RATE).notes == ("2 channels mixed to mono",)
    many = np.zeros((RATE, 32), np.float32)
    many[:, 5] = tone(1)[:, 0]
    soundfile.write(path, many, RATE)
    assert read_mono(path, RATE, RATE).notes == ("32 channels mixed to mono",)


@pytest.mark.parametrize("level", [0.0, 0.25, -1.0])
def test_nothing_that_moves_is_silence(level: float, tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    soundfile.write(path, np.full((RATE, 2), level, np.float32), RATE, subtype="FLOAT")
    with pytest.raises(SilentSound, match="silent"):
        read_mono(path, RATE, RATE)


@pytest.mark.parametrize("name", ["na\udcefve.wav", "tab\there.wav", "[b]bold[ b].wav", "🎹.wav"])
def test_any_file_name_is_opened(name: str, tmp_path: Path) -> None:
    """A name may hold bytes that are not UTF-8, which libsndfile itself does not take as text."""
    soundfile.write(tmp_path / "plain.wav", tone(1), RATE)
    (tmp_path / "plain.wav").rename(tmp_path / name)
    assert frames_of(tmp_path / name) == (RATE, [])


def test_a_folder_and_a_pipe_are_no_sound_files(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="is a folder"):
        frames_of(tmp_path)
    os.mkfifo(tmp_path / "pipe.wav")
    for path in (tmp_path / "pipe.wav", Path("/dev/zero")):
        with pytest.raises(OSError, match="is a pipe or a device; give a sound file"):
            frames_of(path)


def test_a_disk_that_fails_in_the_middle_is_an_error_not_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jbdiff.audio import sound_bytes as soundbytes

    path = tmp_path / "sound.wav"
    soundfile.write(path, tone(20, 2), RATE)
    plain = soundbytes.SoundBytes.readinto

    def failing(self: soundbytes.SoundBytes, buffer: object) -> int:
        if self.tell() > 1_000_000:
            self.problem = OSError(5, "Input/output error")
            return 0
        return plain(self, buffer)

    monkeypatch.setattr(soundbytes.SoundBytes, "readinto", failing)
    with pytest.raises(OSError, match="Input/output"):
        frames_of(path)


@pytest.mark.parametrize("length", range(16))
@pytest.mark.parametrize("magic", [b".snd", b"RIFF", b"caff", b"FORM", b"riff", b"OggS"])
def test_a_header_that_breaks_off_is_refused_in_words(magic: bytes, length: int, tmp_path: Path) -> None:
    path = tmp_path / "broken"
    path.write_bytes((magic + bytes(12))[:length])
    with pytest.raises((ValueError, OSError), match="broken"):
        read_mono(path, 44_100, 44_100)


def test_noise_that_begins_like_an_mp3_is_not_called_a_pipe(tmp_path: Path) -> None:
    path = tmp_path / "noise.mp3"
    path.write_bytes(b"\xff\xfb\x90\x00" + np.random.default_rng(1).bytes(20_000))
    with pytest.raises(
        OSError, match="it begins like a sound, but no sound follows; export or copy it again"
    ):
        read_audio(path, RATE)
