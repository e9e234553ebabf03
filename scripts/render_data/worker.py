"""What a worker process does: it renders seeds to folders of stems. A module, so that spawned workers find it."""

from __future__ import annotations

import signal
from functools import lru_cache

import classic
from folders import Job, is_finished, write_track
from part import Part
from render import render
from score import STEPS, Score
from styles import score_of
from synthesizer import Synthesizer
from tempi import HOP, SAMPLE_RATE, beats_per_minute


def stay_until_ended() -> None:
    """Leave Ctrl-C to the process that started this one: it ends its workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@lru_cache(maxsize=1)
def synthesizer() -> Synthesizer:
    """The synthesizer of this process: it compiles every patch once."""
    return Synthesizer()


def render_one(job: Job) -> str:
    """Render one seed, unless that is done, and return the name of its folder."""
    if not is_finished(job):
        write_track(job, *rendered(job))
    return job.path.name


def rendered(job: Job) -> tuple[dict[str, object], list[Part]]:
    """What `track.json` says of a track, and its stems."""
    if job.style in classic.STYLES:
        track = classic.Track(synthesizer(), job.seed, job.seconds, job.style, job.bars)
        track.render()
        return track.describe(), track.parts
    score = score_of(job.style, job.seed, job.seconds, job.bars)
    return describe(score), render(score, synthesizer())


def describe(score: Score) -> dict[str, object]:
    """A score without its notes."""
    step = score.tokens_per_bar * HOP / SAMPLE_RATE / STEPS
    kicks = (place * step for place in score.kick_steps)
    return {
        "style": score.style,
        "seconds": score.seconds,
        # So exact that the bar it is worked back to is whole.
        "bpm": round(beats_per_minute(score.tokens_per_bar), 6),
        "tokens_per_bar": score.tokens_per_bar,
        "key": score.tonic,
        "scale": score.mode,
        "form": [[section.letter, section.start, section.bars] for section in score.sections],
        "chords": list(score.chords),
        "kicks": [round(time, 6) for time in kicks if time < score.seconds],
    }
