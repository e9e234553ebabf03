"""Bars in which only some parts play: a riff alone, drums alone, noise alone."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from score import STEPS, Hit, Note, Voice


def notes_outside(notes: Sequence[Note], bars: Collection[int]) -> tuple[Note, ...]:
    """Return the notes that do not start in these bars. A note that would sound on in one of them ends before it."""
    kept = []
    for note in notes:
        bar = note.step // STEPS
        if bar in bars:
            continue
        end = note.step + note.length
        while bar * STEPS < end and bar not in bars:
            bar += 1
        kept.append(replace(note, length=min(note.length, bar * STEPS - note.step)))
    return tuple(kept)


def hits_outside(hits: Sequence[Hit], bars: Collection[int]) -> tuple[Hit, ...]:
    return tuple(hit for hit in hits if hit.step // STEPS not in bars)


def outside(voice: Voice, bars: Collection[int]) -> Voice:
    """Return a voice that is silent in these bars."""
    return replace(voice, notes=notes_outside(voice.notes, bars), hits=hits_outside(voice.hits, bars))


def bars_of(voices: Sequence[Voice], parts: Collection[str]) -> set[int]:
    """Return the bars in which something of these parts begins."""
    theirs = [voice for voice in voices if voice.part in parts]
    return {event.step // STEPS for voice in theirs for event in (*voice.notes, *voice.hits)}


def alone(voices: Sequence[Voice], parts: Collection[str], bars: Collection[int]) -> list[Voice]:
    """Return voices of which only these parts play in these bars. A bar that none of them has stays as it is."""
    silent = bars_of(voices, parts) & set(bars)
    return [voice if voice.part in parts else outside(voice, silent) for voice in voices]


def opened_by(voices: Sequence[Voice], parts: Collection[str], bars: int) -> list[Voice]:
    """Return voices of which only these parts play in the first bars: at most `bars`, and as long as they play."""
    had = bars_of(voices, parts)
    first = next((bar for bar in range(bars) if bar not in had), bars)
    return alone(voices, parts, range(first))
