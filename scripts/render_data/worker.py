"""The work of a worker process: it renders seeds to folders of stems. Spawned workers import this module."""

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
    """Ignore Ctrl-C: the process that started this one handles it and ends its workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@lru_cache(maxsize=1)
def synthesizer() -> Synthesizer:
    """Return the synthesizer of this process, which compiles every patch once."""
    return Synthesizer()


def render_one(job: Job) -> str:
    """Render one seed if it is not rendered yet, and return the name of its folder."""
    if not is_finished(job):
        write_track(job, *rendered(job))
    return job.path.name


def rendered(job: Job) -> tuple[dict[str, object], list[Part]]:
    """Return the content of `track.json` for a track, and its stems."""
    if job.style in classic.STYLES:
        track = classic.Track(synthesizer(), job.seed, job.seconds, job.style, job.bars)
        track.render()
        return track.describe(), track.parts
    score = score_of(job.style, job.seed, job.seconds, job.bars)
    return describe(score), render(score, synthesizer())


def describe(score: Score) -> dict[str, object]:
    """Return a score as plain values, without its notes."""
    step = score.tokens_per_bar * HOP / SAMPLE_RATE / STEPS
    kicks = (place * step for place in score.kick_steps)
    return {
        "style": score.style,
        "seconds": score.seconds,
        # Exact enough that the bar computed from it is a whole number of tokens.
        "bpm": round(beats_per_minute(score.tokens_per_bar), 6),
        "tokens_per_bar": score.tokens_per_bar,
        "key": score.tonic,
        "scale": score.mode,
        "form": [[section.letter, section.start, section.bars] for section in score.sections],
        "chords": list(score.chords),
        "kicks": [round(time, 6) for time in kicks if time < score.seconds],
    }
