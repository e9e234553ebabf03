"""Records work of fixed shapes once as a CUDA graph and replays it: one launch by the CPU instead of thousands.

    recordings = recordings_for(device)                     # None if the device cannot record
    clean = recordings("denoise", loop, (x, sigmas, None))  # records at the first call of these shapes, then replays

Values that change from call to call are passed as tensors, which are copied into fixed buffers. A Python number would
keep its value of the recording for ever. So the work must not read a value back from the device.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from jbdiff.codecs.codec import Codec
from jbdiff.diffusion.samplers import Callback, Model, Sampler, Step, sample_vddim

Replay = Callable[[], Tensor]
InputShape = tuple[tuple[int, ...], torch.dtype] | None
Recorder = Callable[[Callable[[], Tensor]], Replay]
WARM_UPS = 2  # runs before a recording: libraries choose their kernels and take their workspace
MOST_RECORDINGS = 12  # of one stage; one more replaces the oldest
LONGEST_LOOP = 64  # steps; 250 of the full-size U-Net are some 200 000 launches, long to record


def cuda_recorder(work: Callable[[], Tensor]) -> Replay:
    """Record `work` on the current CUDA device; each replay returns the same tensor `[...]` with new values."""
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(WARM_UPS):
            work()
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    # Another thread may play another stack at the same time. Its calls to the device must not fail or end the
    # recording.
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        result = work()

    def replay() -> Tensor:
        graph.replay()
        return result

    return replay


def recorder_for(device: torch.device) -> Recorder | None:
    """The function that records on this device; None on every device but CUDA."""
    return cuda_recorder if device.type == "cuda" else None


class Recorded:
    """One function of tensors, recorded at its first call for that call's shapes.

    The next call overwrites the result, so callers clone a result that they keep. Raises ValueError for other shapes.
    """

    def __init__(self, work: Callable[..., Tensor], device: torch.device, recorder: Recorder) -> None:
        self._work, self._device, self._recorder = work, device, recorder
        self._buffers: list[Tensor | None] = []
        self._replay: Replay | None = None

    def __call__(self, *inputs: Tensor | None) -> Tensor:
        """Return `work(*inputs)`, `[...]`: recorded in the first call, replayed in later ones."""
        if self._replay is None:
            self._buffers = [None if one is None else one.to(self._device, copy=True) for one in inputs]
            # Autocast's cache would keep tensors of the recording beyond it.
            cached = torch.is_autocast_cache_enabled()
            torch.set_autocast_cache_enabled(False)
            try:
                self._replay = self._recorder(lambda: self._work(*self._buffers))
            finally:
                torch.set_autocast_cache_enabled(cached)
        if signature(inputs) != signature(self._buffers):
            raise ValueError(f"recorded for {signature(self._buffers)}, called with {signature(inputs)}")
        for buffer, one in zip(self._buffers, inputs, strict=True):
            if buffer is not None and one is not None:
                buffer.copy_(one)
        return self._replay()


def signature(inputs: Sequence[Tensor | None]) -> tuple[InputShape, ...]:
    """Return shape and type of every input `[...]`, for which a recording is valid; None for an input None."""
    return tuple(None if one is None else (tuple(one.shape), one.dtype) for one in inputs)


class Recordings:
    """The recordings of one stage: one for each kind of work and each set of shapes.

    A new number of steps is recorded at its first block, which takes a few times as long as to play it. Play such a
    block in advance (`BlockStream.settle`) if it must not be late.
    """

    def __init__(self, device: torch.device, recorder: Recorder) -> None:
        self._device, self._recorder = device, recorder
        self._kept: dict[tuple[str, tuple[InputShape, ...]], Recorded] = {}

    def __call__(self, kind: str, work: Callable[..., Tensor], inputs: Sequence[Tensor | None]) -> Tensor:
        """Return `work(*inputs)`, recorded or replayed, as a new tensor `[...]`.

        One kind always means the same work.
        """
        key = (kind, signature(inputs))
        if key not in self._kept:
            if len(self._kept) >= MOST_RECORDINGS:
                del self._kept[next(iter(self._kept))]
            self._kept[key] = Recorded(work, self._device, self._recorder)
        return self._kept[key](*inputs).clone()


def recordings_for(device: torch.device) -> Recordings | None:
    """An empty set of recordings; None if this device cannot record."""
    recorder = recorder_for(device)
    return None if recorder is None else Recordings(device, recorder)


def decode_obstacle(codec: Codec) -> str | None:
    """Why this codec's decode cannot be recorded; None if it can."""
    if getattr(codec, "matching", None) is not None:
        return "the codec's matching reads from the device where its frames stand; decodes are not recorded"
    return None


def loop_obstacle(steps: int, sampler: Sampler) -> str | None:
    """Why a loop of so many steps of this sampler cannot be recorded; None if it can."""
    if sampler is not sample_vddim:
        return "only v-DDIM takes its noise levels from tensors; this sampler's loops are played step by step"
    if steps > LONGEST_LOOP:
        return f"{steps} steps are more than the {LONGEST_LOOP} that are recorded; they are played one by one"
    return None


class RecordedSampler:
    """A sampler whose loops are recorded: for one network that depends on nothing but x and sigma, as a finisher does.

    What `loop_obstacle` names is sampled step by step.
    """

    def __init__(self, sampler: Sampler, recordings: Recordings) -> None:
        self._sampler, self._recordings = sampler, recordings

    def __call__(self, model: Model, x: Tensor, sigmas: Tensor, callback: Callback | None = None) -> Tensor:
        """Return the clean sample `[b, c, t]`, as the recorded sampler does."""
        count = len(sigmas) - 1
        if loop_obstacle(count, self._sampler) is not None:
            return self._sampler(model, x, sigmas, callback)

        def work(x: Tensor, sigmas: Tensor) -> Tensor:
            return self._sampler(model, x, sigmas)

        clean = self._recordings("finish", work, (x, sigmas))
        if callback is not None:
            for index in range(count):
                callback(Step(index, count, float(sigmas[index]), clean))
        return clean
