"""The memory of a stream: the latents of the last 64 s, and the echoes that the next window gets from them.

Echoes lie whole bars back. The length of the bar is that of the clock, refined by likeness: of the lengths near it, and
of half and three quarters of it, the one at which the music is most like itself. Music without a clock takes the lag at
which it is most like itself, or has no echoes if it is like itself at none.

A clock that changes its tempo a little, or that catches up with another clock, does not move the echoes off the beat:
each token keeps its place in the bars, and an echo comes from the tokens that were at the same place (`straight`). If
the other clock starts at another beat of the bar, what was played before moves with it (`jumped`).

The knob `memory` is the share of windows that get each echo. With all of them the music becomes a loop that lives; with
none it invents freely. The draws are functions of seed, window and echo, so that a session can be rendered again.

What was played 8, 16, 24 or 32 bars ago, as long ago as is remembered, is also the plan of every window (`plan.py`).
The plan says which tones sound in which sixteenth, and nothing finer: so harmony and polyphony stay, and a window that
lacks its echoes still has room to vary. The confidence in it grows with the knob. As soon as eight bars were played,
the echo of four bars ago is not given: it would make every group of four bars like the one before. The echo of one bar
ago is given only to windows without the longest echo, because within minutes it makes all bars alike.

Not all music comes again after eight bars. If the sound that a stream begins after is not like itself at that lag, and
clearly is at another one, plan and longest echo come from there (`other_form`).
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from jbdiff.diffusion.noise import draw_uniform
from jbdiff.networks.echoes import BARS, Echo, echo_of
from jbdiff.networks.plan import FORM, SHORT_FORM, Plan, bars_back, cells_of, plan_of
from jbdiff.stream.remembering.remembered import MemoryState
from jbdiff.stream.remembering.theme import THEME_BARS, theme_later, theme_of, theme_returns, theme_sound

SECONDS = 64.0
# Likeness is measured at lags of 0.7 to 3 s, of bars from 86 to 340 beats a minute.
SHORTEST, LONGEST = 0.7, 3.2
# Without a clock: a lag counts if the mean square difference at it is below this share of what unrelated music has.
LIKE = 0.6
TEMPO_TOLERANCE = 0.01
# Another lag than eight bars is the form if the difference there is below this share of the difference at eight bars,
# and that one is above `UNLIKE` of what unrelated music has. This changes two of ten pieces of other people, and none
# of 12 held-out pieces and 12 factory sounds. A plan of the contexts alone is then wrong by 1.2 and .6 of their
# variance, not 2.1 and 2.3. Played, polyphony is .60 and .57 of the truth's (.48, .49), harmony .87, .97 (.83, .95).
CLEARLY, UNLIKE = 0.6, 0.7
SHORTEST_FORM = 3.0  # seconds: what lasts less is a bar


class StreamMemory:
    """The memory of a level, block by block. It holds no state: `MemoryState` goes in and comes out."""

    def __init__(
        self, channels: int, tokens_per_second: float, window: int, level: int, device: torch.device
    ) -> None:
        """channels: bands that are remembered; window: tokens of the level's window."""
        self.tokens = round(SECONDS * tokens_per_second)
        self._channels, self._rate, self._window, self._level = channels, tokens_per_second, window, level
        self._device = device

    def begun(self, latents: Tensor | None, per_token: float) -> MemoryState:
        """The memory of a stream that begins after latents `[1, n, c]`, or after nothing.

        per_token: beats a token of the clock; 0 without one.
        """
        if latents is None:
            latents = torch.zeros(1, 0, self._channels, device=self._device)
        bands = latents[:, -self.tokens :, : self._channels].contiguous()
        bar = 4 / per_token if per_token else 0.0
        bar = likeliest_bar(bands[0], bar, self._rate)
        form = other_form(bands[0], bar, self._rate)
        # Music with another form may have had other parts before, so only its last stretch is used.
        steady = min(bands.shape[1], round(form) + self._window) if form else bands.shape[1]
        theme = theme_of(bands[:, -steady:], bar, form, FORM)
        return MemoryState(bands, bar, per_token, steady, form, theme=theme)

    def grown(self, state: MemoryState, latents: Tensor, pace: float = 1.0) -> MemoryState:
        """With latents `[1, c, t]` that were played.

        pace: how many times as fast as its tempo the clock ran, because it caught up with another clock.
        """
        new = latents[:, : self._channels].transpose(1, 2)
        bands = torch.cat([state.bands, new], 1)[:, -self.tokens :]
        places = state.places
        if state.bar and (pace != 1.0 or places is not None):
            count, per_token = new.shape[1], pace / state.bar
            before = places_of(state) - count * per_token
            places = torch.cat([before, even_places(count, per_token)])[-self.tokens :]
        steady = min(state.steady + new.shape[1], self.tokens)
        grown = replace(state, bands=bands, steady=steady, places=places)
        if not state.bar:
            return grown
        if state.theme is not None:
            return replace(grown, theme=theme_later(state.theme, new.shape[1] * pace / state.bar))
        played = straight(grown) if steady >= THEME_BARS * state.bar else grown
        played_bands = played.bands[:, played.bands.shape[1] - played.steady :]
        return replace(grown, theme=theme_of(played_bands, state.bar, state.form, THEME_BARS))

    def at_tempo(self, state: MemoryState, per_token: float) -> MemoryState:
        """Of a stream whose clock goes at so many beats a token.

        If the tempo changes by more than `TEMPO_TOLERANCE`, what was played before gives no echoes.
        """
        old = state.per_token
        if not per_token or per_token == old:
            return state
        if (
            not old
        ):  # the clock starts: what was played had no other one, and keeps the lag that was found in it
            return replace(state, bar=state.bar or 4 / per_token, per_token=per_token)
        same = abs(per_token - old) <= TEMPO_TOLERANCE * old
        # The bar of the clock, of as many beats as before. The length that was found in the sound differs a little from
        # that of its tempo, and echoes at that distance would leave the beat of the clock, further with each bar.
        bar = whole_beats(state.bar, old) / per_token
        return replace(
            state,
            bar=bar,
            per_token=per_token,
            steady=state.steady if same else 0,
            form=state.form * bar / state.bar if state.bar else 0.0,
            places=places_of(state) if same and state.bar else None,
        )

    def jumped(self, state: MemoryState, beats: float) -> MemoryState:
        """Of a stream whose clock left out so many beats, 0 to 4: what was played before lies so much earlier."""
        if not beats or not state.bar or not state.per_token:
            return state
        bars = beats / (state.bar * state.per_token)
        return replace(state, places=places_of(state) - bars, theme=theme_later(state.theme, bars))

    def of_context(self, state: MemoryState, latents: Tensor) -> MemoryState:
        """For a block after another context `[1, n, c]`: that alone is remembered, at the stream's own tempo."""
        bands = latents[..., : self._channels]
        return replace(state, bands=bands, steady=bands.shape[1], places=None, theme=None)

    def earlier(self, state: MemoryState, tokens: int) -> MemoryState:
        """As it was so many tokens before the next one."""
        left = max(0, state.bands.shape[1] - tokens)
        places = state.places
        if places is not None and 0 < left < len(places):
            places = places[:left] - places[left]
        return replace(
            state,
            bands=state.bands[:, :left],
            steady=max(0, state.steady - tokens),
            places=places if left else None,
            theme=theme_later(state.theme, -tokens / state.bar) if state.bar else None,
        )

    def echo(
        self,
        state: MemoryState,
        tokens: int,
        held: int,
        memory: float,
        seed: int,
        place: int,
        theme: float = 0.0,
    ) -> Echo:
        """Echoes of a window of `tokens` whose first `held` were played already.

        memory: 0..1, the share of windows that get each echo. That of four bars ago is given only if eight were not
        played, and that of one bar ago only to windows without the longest one. place: number of the first new token
        of the stream. theme: 0..1, the share of groups of bars whose longest echo comes from the theme.
        Raises ValueError if `memory` or `theme` is outside 0..1.
        """
        for name, share in (("memory", memory), ("theme", theme)):
            if not 0.0 <= share <= 1.0:
                raise ValueError(f"{name} {share} is outside 0..1")
        state = straight(state)
        bars, known = self._steady(state)
        longest = state.form / state.bar if state.form else FORM
        multiples = [longest if multiple == FORM else multiple for multiple in BARS]
        echo = echo_of(state.bands, bars, tokens, held, known, multiples)
        chance = draw_uniform((1, len(BARS)), seed, f"memory{self._level}", 0, place // self._window)
        kept = (chance < memory).to(self._device)
        one, four, eight = (BARS.index(bars) for bars in (1, SHORT_FORM, FORM))
        if state.theme is not None and state.bar and theme_returns(state.theme, theme, seed, self._level):
            sound, confidence = echo.sound.clone(), echo.known.clone()
            sound[:, eight], confidence[:, eight] = theme_sound(state.theme, state.bar, tokens, held), 1.0
            echo = replace(echo, sound=sound, known=confidence)
        longest_known = echo.known[:, eight] > 0
        shorter = torch.ones_like(echo.known)
        shorter[:, four] = (~longest_known).to(shorter)
        shorter[:, one] = (~(longest_known & kept[:, eight, None])).to(shorter)
        echo = replace(echo, sound=echo.sound * shorter[:, :, None], known=echo.known * shorter)
        return echo.kept(kept)

    def plan(self, state: MemoryState, tokens: int, held: int, memory: float, place: float) -> Plan:
        """Earlier music as the plan of a window of `tokens`, whose first `held` were played already.

        memory: 0..1; the confidence is the chance that at least one of three echoes is given. place: tokens from the
        beginning of a bar to the first new token.
        """
        state = straight(state)
        bars, known = self._steady(state)
        back = bars_back(state.bar, state.steady - held, state.form)
        echo = echo_of(state.bands, bars, tokens, held, known, (back,))
        # On the CPU: places need float64, which not every device has.
        cells = cells_of(torch.tensor([place - held]), torch.tensor([state.bar or self._window]), tokens)
        confidence = 1.0 - (1.0 - memory) ** len(BARS)
        return plan_of(echo.sound[:, 0], confidence * echo.known[:, 0], cells.to(self._device))

    def _steady(self, state: MemoryState) -> tuple[Tensor, Tensor]:
        """Tokens a bar, and how many tokens at the end of the memory may be used, `[1]` each."""
        bars = torch.tensor([state.bar], device=self._device)
        return bars, torch.tensor([state.steady], device=self._device)


def whole_beats(bar: float, per_token: float) -> float:
    """Beats in a bar of so many tokens, at so many beats a token. It is a whole number if it nearly is one."""
    beats = bar * per_token
    return float(round(beats)) if abs(beats - round(beats)) < 2 * TEMPO_TOLERANCE * beats else beats


def even_places(tokens: int, per_token: float) -> Tensor:
    """Places in bars `[tokens]` of the tokens before the next one, which is at 0. per_token: bars a token."""
    return torch.arange(-tokens, 0, dtype=torch.float64) * per_token


def places_of(state: MemoryState) -> Tensor:
    """Place in bars `[n]` of each token that is remembered. Raises ZeroDivisionError if no bar is known."""
    if state.places is not None:
        return state.places
    return even_places(state.bands.shape[1], 1 / state.bar)


def straight(state: MemoryState) -> MemoryState:
    """The memory as if all of it had been played at the present tempo: tokens are left out or repeated.

    Beats that the clock left out are filled with those of the bar before.
    """
    if state.places is None or not len(state.places):
        return state
    length, per_token = len(state.places), 1 / state.bar

    def reach(first: Tensor) -> int:
        return int(-first * state.bar + 0.5)

    wanted = even_places(max(1, reach(state.places[0])), per_token)
    between = (state.places[1:] + state.places[:-1]) / 2
    nearest = torch.bucketize(wanted, between)
    left_out = (state.places[nearest] - wanted).abs() > 0.75 * per_token
    nearest = torch.where(left_out, torch.bucketize(wanted - 1.0, between), nearest).to(state.bands.device)
    steady = reach(state.places[length - state.steady]) if state.steady else 0
    return replace(state, bands=state.bands[:, nearest], steady=min(steady, len(wanted)), places=None)


def likeliest_bar(bands: Tensor, bar: float, tokens_per_second: float) -> float:
    """Tokens a bar of latents `[n, c]`, a fractional number; 0 if the music is too short or nowhere like itself.

    bar: what the clock says, 0 without a clock.
    """
    shortest, longest = round(SHORTEST * tokens_per_second), round(LONGEST * tokens_per_second)
    length = len(bands)
    if length < 2 * shortest:
        return bar
    unlike = differences(bands, min(length - shortest, max(8 * longest, 1)))

    def at(lag: float, spread: int) -> tuple[float, float]:
        """The lag near this one at which the music is most like itself, and its difference there."""
        first, last = max(1, round(lag) - spread), min(len(unlike) - 1, round(lag) + spread)
        if last < first:
            return lag, float("inf")
        place = first + int(unlike[first : last + 1].argmin())
        return place + lowest_between(unlike, place), float(unlike[place])

    if bar:
        # A bar of four beats unless another count of beats is clearly more like itself.
        counts = [(at(bar * beats / 4, 2), 1.0 if beats == 4 else 0.85) for beats in (4, 3, 2, 6, 8)]
        found = [(far / favour, lag) for (lag, far), favour in counts if shortest <= lag <= longest]
        if not found:
            return bar
        best = min(found)[1]
    else:
        inside = unlike[shortest : longest + 1]
        if not len(inside) or float(inside.min()) > LIKE * 2 * float(bands.var(0).mean()):
            return 0.0
        best = float(shortest + int(inside.argmin()))
    # Four and eight bars away the same place is known to a fraction of a token.
    for multiple in (2, 4, 8):
        lag, far = at(best * multiple, 2)
        if far < float("inf") and multiple * best + 2 < len(unlike):
            best = lag / multiple
    return best


def lowest_between(values: Tensor, place: int) -> float:
    """Where the lowest of `values` `[n]` lies, as a distance -.5 to .5 from `place`: of a parabola through three."""
    if not 0 < place < len(values) - 1:
        return 0.0
    before, here, after = values[place - 1 : place + 2].tolist()
    curve = before - 2 * here + after
    return max(-0.5, min(0.5, (before - after) / 2 / curve)) if 0 < curve < float("inf") else 0.0


def other_form(bands: Tensor, bar: float, tokens_per_second: float) -> float:
    """Tokens after which latents `[n, c]` clearly come again, if they do not after eight bars; else 0.

    bar: tokens a bar; 0 if it is not known. Music that hardly lasts longer than eight bars does not show its form.
    """
    length, first = len(bands), round(SHORTEST_FORM * tokens_per_second)
    lags = length - max(round(SHORTEST * tokens_per_second), length // 8)
    usual = round(FORM * bar)
    if not 2 < usual < lags - 3 or first >= lags:
        return 0.0
    unlike = differences(bands, lags) / (2 * bands.var(0).mean()).clamp_min(1e-9)
    far = float(unlike[usual - 2 : usual + 3].min())
    best = first + int(unlike[first:].argmin())
    return float(best) if far > UNLIKE and float(unlike[best]) < CLEARLY * far else 0.0


def differences(bands: Tensor, lags: int) -> Tensor:
    """Mean square difference of latents `[n, c]` to themselves, so many tokens earlier: `[lags]`, infinite at lag 0."""
    x = bands.float() - bands.float().mean(0)
    length = len(x)
    size = 1 << (2 * length - 1).bit_length()
    spectrum = torch.fft.rfft(x, size, dim=0)
    correlation = torch.fft.irfft(spectrum.abs().square(), size, dim=0)[:lags].sum(1)
    power = x.square().sum(1).cumsum(0)
    whole = power[-1]
    at = torch.arange(lags, device=x.device)
    first = power[length - 1 - at]  # energy of all but the last `lag` tokens
    last = whole - torch.where(at > 0, power[(at - 1).clamp_min(0)], torch.zeros_like(whole))
    mean: Tensor = (first + last - 2 * correlation) / (length - at) / x.shape[1]
    mean[0] = float("inf")
    return mean
