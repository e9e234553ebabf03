"""`jbdiff sample --compat v1`: make a piece as the first implementation does, from the same options.

Windows are nested and rendered in memory (`renderer.py`), so an interrupted piece begins again from its start.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import soundfile
import torch
from torch import Tensor

from jbdiff.audio.crossfade import Crossfade
from jbdiff.audio.pictures import write_mel_picture
from jbdiff.audio.writing import sound_name
from jbdiff.config import VQVAEConfig
from jbdiff.diffusion.noise import v1_base_noise
from jbdiff.geometry import Geometry
from jbdiff.render.options import OptionError, RenderOptions
from jbdiff.render.render import WRITE_FRAMES, Rendered, RenderError, RenderPlan, check_targets, level_file
from jbdiff.stacks.stack import Stack
from jbdiff.stream.settings import LevelSettings
from jbdiff.untyped import JsonDict, JsonTable
from jbdiff.v1.renderer import V1LevelSettings, V1Renderer, V1Settings

FADES = {"linear": Crossfade.LINEAR, "constant-power": Crossfade.V1_CONSTANT_POWER}


def v1_defaults(values: JsonTable, coarsest: int) -> JsonDict:
    """Return options with v1's defaults where they differ from ours. Raises OptionError for options that v1 lacks."""
    for key in ("hop", "sampler"):
        if values.get(key) not in (None, "vddim"):
            raise OptionError(f"--compat v1 has no {key}; leave it out, or leave out --compat")
    result = {"style": "random", "step": 0.05} | dict(values)
    for name in ("level0", "level1", "level2"):
        table = values.get(name, {})
        for key in ("handover", "priming") if isinstance(table, Mapping) else ():
            if key in table:
                raise OptionError(f"--compat v1 has no {name}.{key}; leave it out, or leave out --compat")
        if isinstance(table, Mapping) and name != f"level{coarsest}" and "update_context" in table:
            raise OptionError(
                f"{name}.update_context: v1 updates the contexts of finer levels always; only that of "
                f"level {coarsest} is a choice"
            )
    for name, ours in ((f"level{coarsest}", {"update_context": False}), ("finisher", {"style": "random"})):
        table = values.get(name, {})
        if isinstance(table, Mapping):
            result[name] = ours | dict(table)
    return result


@dataclass(frozen=True)
class V1Piece:
    """One piece of v1, ready to be rendered."""

    renderer: V1Renderer
    noise: Tensor  # [1, c, windows * tokens] of the coarsest level
    with_init: bool


def v1_piece(stack: Stack, options: RenderOptions, seed: int, finisher: bool, with_init: bool) -> V1Piece:
    """Return the piece for `options.seconds`, in whole windows. Raises OptionError if v1 cannot do it."""
    if not isinstance(stack.config.codec, VQVAEConfig):
        raise OptionError(f"--compat v1 plays stacks of v1's kind; {stack.config.name!r} is another")
    if options.crossfade not in (None, *FADES):
        raise OptionError(f"crossfade = {options.crossfade!r}; it is one of {', '.join(FADES)}")
    numbers = sorted(options.levels or stack.levels, reverse=True)
    coarsest = numbers[0]
    if coarsest != stack.levels[0] or numbers != list(range(coarsest, coarsest - len(numbers), -1)):
        raise OptionError(f"levels {numbers}: v1 plays from level {stack.levels[0]} down without a gap")
    unplayed = sorted(set(options.level) - set(numbers))
    if unplayed:
        raise OptionError(f"settings for level {unplayed[0]}; this run plays {numbers}")
    geometry = Geometry(stack.config)
    levels = {}
    for number in numbers:
        config, given = stack.config.level(number), options.level.get(number, LevelSettings())
        strength = config.init_strength if given.strength is None else given.strength
        levels[number] = V1LevelSettings(
            steps=config.steps if given.steps is None else given.steps,
            guidance=config.guidance if given.guidance is None else given.guidance,
            strength=options.resample if number == coarsest else strength,
        )
        kept = int(levels[number].strength * levels[number].steps)
        if kept >= levels[number].steps and (number != coarsest or with_init):
            raise OptionError(f"level {number}: a strength of {levels[number].strength:g} leaves v1 no step")
    tokens = stack.config.level(coarsest).window_tokens * options.token_multiplier
    window = geometry.samples(tokens, coarsest)
    windows = -(-geometry.frames(options.seconds) // window)
    how, known = options.settings(seed, 1.0).finisher, stack.config.finisher
    steps, keeps = how.steps, how.strength
    settings = V1Settings(
        levels=levels,
        windows=windows,
        token_multiplier=options.token_multiplier,
        update_lowest_context=options.level.get(coarsest, LevelSettings()).update_context,
        finisher=finisher,
        finisher_steps=steps if steps is not None else getattr(known, "steps", 1),
        finisher_strength=keeps if keeps is not None else 0.0 if known is None else known.init_strength,
        finisher_seed=how.seed,
        finisher_style=how.noise_style,
        finisher_step=how.noise_step,
        fade=FADES[options.crossfade or "linear"],
    )
    channels = stack.codec.latent_channels
    noise = v1_base_noise(windows, tokens, seed, options.style, options.step, channels)
    return V1Piece(V1Renderer(stack, settings), noise, with_init)


def render_v1(
    piece: V1Piece,
    plan: RenderPlan,
    on_progress: Callable[[int, int], None] = lambda done, of: None,
    *,
    device: str = "cpu",
    overwrite: bool = False,
) -> Rendered:
    """Write the files of `plan`, from the first `plan.frames` frames of the piece; the plan's settings are not used.

    A shorter init repeats. on_progress(done, of) counts denoising steps. Raises RenderError for formats that cannot be
    written, for a sound that is not finite, and if a file exists already and `overwrite` is not set.
    """
    subtype = plan.subtype()
    check_targets(plan, piece.renderer.levels, overwrite)
    stack = piece.renderer.stack.to(device)
    noise = piece.noise.to(device)
    total = noise.shape[2] * stack.codec.hop(piece.renderer.levels[0])
    init = None
    if plan.init is not None:
        init = plan.init[..., torch.arange(total) % plan.init.shape[2]].to(device)
    context = torch.zeros(1, 1, 0) if plan.context is None else plan.context
    done, of = 0, piece.renderer.steps(with_init=piece.with_init)

    def count() -> None:
        nonlocal done
        done += 1
        on_progress(done, of)

    run = piece.renderer.render(noise, context.to(device), init, count)
    if not torch.isfinite(run.audio).all():
        raise RenderError("the sound became NaN or infinite; take another guidance, or float32 weights")
    tracks = {plan.out: run.audio[0]}
    if plan.stems:
        for level in piece.renderer.levels:
            path = level_file(plan.out, level)
            tracks[path] = torch.cat(run.level_audio[level], dim=2)[0]
    pictures = []
    rate = stack.config.sample_rate
    for path, audio in tracks.items():
        samples = audio[:, : plan.frames].T.cpu().numpy()
        new = path.with_name(path.name + ".new")
        kind = path.suffix[1:].upper()
        written = samples if plan.bits == 32 else samples.clip(-1, 1)
        soundfile.write(sound_name(new), written, rate, subtype, format=kind)
        new.replace(path)
        if plan.pictures:
            pictures.append(path.with_suffix(".png"))
            chunks = (samples[at : at + WRITE_FRAMES] for at in range(0, len(samples), WRITE_FRAMES))
            write_mel_picture(pictures[-1], chunks, len(samples), rate)
    peak = float(run.audio[..., : plan.frames].abs().max())
    return Rendered(tuple(tracks), peak, 0, tuple(pictures))
