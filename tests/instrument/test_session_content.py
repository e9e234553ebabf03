"""The text of a session file: there and back, and what becomes of files that are damaged, old, new or edited."""

from __future__ import annotations

import json
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jbdiff_live.beat.modulation import Lfo, Shape
from jbdiff_live.binding import Binding
from jbdiff_live.kept.content import (
    FORMAT,
    MOST_BYTES,
    Content,
    Folders,
    PatchPart,
    Ports,
    SessionError,
    WindowPlace,
    decode,
    encode,
)
from jbdiff_live.kept.patch_part import Played, part_of, played_from
from jbdiff_live.parameters import PARAMETERS
from jbdiff_live.patch import Patch, factory_patches, load_patch
from jbdiff_live.scenes.scene import Kept, Scene
from jbdiff_live.stack_choice import StackChoice

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
VALUES = st.fixed_dictionaries(
    {p.name: st.floats(p.low, p.high, allow_nan=False).map(p.clamp) for p in PARAMETERS}
)
LFOS = st.dictionaries(
    st.sampled_from([p.name for p in PARAMETERS]),
    st.builds(
        Lfo,
        st.sampled_from(Shape),
        st.floats(0.1, 5),
        st.none(),
        st.floats(0, 1),
        st.floats(-1, 1),
        st.booleans(),
    ),
    max_size=3,
)
CHOICES = st.builds(
    StackChoice, st.just("pocket"), st.sampled_from([None, (2, 1), (0,)]), st.booleans(), st.none(), st.none()
)


@st.composite
def played(draw: st.DrawFn) -> Played:
    kept = Kept()
    for number in draw(st.sets(st.integers(1, 8), max_size=3)):
        scene = Scene(name=" ".join(draw(st.text("abc é", max_size=9)).split()), program=number + 40)
        kept = kept.put(number, scene.captured(draw(VALUES)))
    values, init = draw(VALUES), draw(st.sampled_from(["", "/sounds/init.wav"]))
    plain = {p.name: p.plain(values[p.name]) for p in PARAMETERS}
    patch = Patch(
        draw(TEXT),
        draw(TEXT),
        MappingProxyType(plain),
        tuple(
            Binding.parse("memory", f"CC {number}")
            for number in draw(st.sets(st.integers(20, 31), max_size=2))
        ),
        draw(CHOICES),
        context=draw(st.sampled_from([None, Path("/sounds/höre.wav")])),
        program=draw(st.none() | st.integers(1, 128)),
        lfos=MappingProxyType(draw(LFOS)),
        scenes=kept.scenes,
        stage=("memory", "gain"),
        tags=("calm", "dub"),
        init=Path(init) if init else None,
    )
    file = draw(st.sampled_from([None, Path("/patches/mine.toml"), *factory_patches().values()]))
    return Played(patch, file, draw(st.none() | st.integers(1, 8)), init)


@settings(max_examples=40)
@given(played())
def test_a_played_patch_comes_back_as_it_was(before: Played) -> None:
    text = encode(Content(part_of(before)), "1.0")
    content, wrong = decode(text.encode())
    assert content.patch is not None and not wrong
    after, left_out = played_from(content.patch)
    assert not left_out
    assert after == before
    assert after.patch.numbers == before.patch.numbers


def test_every_part_comes_back() -> None:
    before = Content(
        PatchPart(name="mine"),
        Ports("Scarlett", "Mic", ("nano",), 9000, "0.0.0.0", "10.0.0.2:9001", "ES-9", ("gate=note C3",), "rack",
              "midi", "virtual", -12.5, 7),
        WindowPlace(-1920, 30, 1280, 720, 2, True, False),
        Folders("/p", "/t", "/s", "/o"),
    )  # fmt: skip
    assert decode(encode(before, "1.0").encode()) == (before, [])


def test_the_factorys_sound_and_patch_are_named_as_such_so_that_the_program_can_move() -> None:
    drift = load_patch(factory_patches()["drift"])
    part = part_of(Played(drift, factory_patches()["drift"]))
    assert (part.file, part.context) == ("factory:drift.toml", "factory:sounds/drift.ogg")


def damaged() -> dict[str, bytes]:
    """Files that cannot be used, by what is wrong with them."""
    whole = encode(Content(PatchPart(name="mine")), "1.0").encode()
    return {
        "empty": b"",
        "cut": whole[: len(whole) // 2],
        "junk": bytes(range(256)) * 40,
        "utf-16": whole.decode().encode("utf-16"),
        "not utf-8": whole.replace(b"mine", b"m\xff\xfene"),
        "a list": b"[1, 2]",
        "no format": b'{"patch": null}',
        "format 0": b'{"format": 0}',
        "text as format": b'{"format": "1"}',
        "newer": b'{"format": 2, "music": "other"}',
        "huge": b" " * (MOST_BYTES + 1),
        "deep": b'{"format": 1, "patch": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    }


@pytest.mark.parametrize("what", damaged())
def test_a_file_that_cannot_be_used_gives_one_plain_sentence(what: str) -> None:
    try:
        content, wrong = decode(damaged()[what])
    except SessionError as error:
        assert "\n" not in str(error) and len(str(error)) < 200
    else:  # only a part of it is unreadable
        assert content == Content() and wrong, what


def test_a_newer_format_says_so() -> None:
    with pytest.raises(
        SessionError, match=f"a newer jbdiff-live kept it .format {FORMAT + 1}; this one reads {FORMAT}"
    ):
        decode(damaged()["newer"])


@given(st.binary(max_size=200))
def test_no_bytes_raise_any_other_error(data: bytes) -> None:
    try:
        decode(data)
    except SessionError:
        return


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
PATCH_KEYS = st.sampled_from(PatchPart.__struct_fields__)


@settings(max_examples=150)
@given(st.dictionaries(PATCH_KEYS, JSON, max_size=4))
def test_any_patch_part_is_played_or_left_out(part: dict[str, Any]) -> None:
    content, wrong = decode(json.dumps({"format": 1, "patch": part, "folders": {"takes": "/t"}}).encode())
    assert content.folders == Folders(takes="/t"), "a bad part costs no other one"
    assert (content.patch is None) == bool(wrong)
    if content.patch is not None:
        played_from(content.patch)  # raises nothing


def test_what_the_program_no_longer_knows_is_left_out_and_named() -> None:
    part = PatchPart(
        name="old",
        values={"memory": 0.4, "sparkle": 1.0, "gain": "loud", "noise_step": 7.0},
        bindings={"memory": ["CC 20", "CC 999"], "sparkle": "CC 3"},
        lfo={
            "memory": {"shape": "sine", "rate": 0.1, "depth": 0.2},
            "sparkle": {},
            "gain": {"shape": "cube"},
        },
        scene=[
            {"slot": 2, "name": "calm", "values": {"memory": 0.1, "sparkle": 3}},
            {"slot": 99, "values": {}},
        ],
        stack="/no/such/folder",
        active_scene=12,
        stage=("memory", "sparkle"),
        program=500,
    )
    played, left_out = played_from(part)
    assert dict(played.patch.values) == {"memory": 0.4}
    assert [b.text for b in played.patch.bindings] == ["CC 20"]
    assert list(played.patch.lfos) == ["memory"]
    assert played.patch.scenes[1] is not None and dict(played.patch.scenes[1].values) == {"memory": 0.1}
    assert played.scenes.active is None and played.patch.choice is None and played.patch.program is None
    assert played.patch.stage == ("memory",)
    assert left_out == [
        "value sparkle", "value gain", "value noise_step", "binding of memory", "binding of sparkle",
        "stack /no/such/folder", "LFO of sparkle", "LFO of gain", "scene 99",
    ]  # fmt: skip


def test_a_name_that_is_no_text_is_left_out_of_the_file() -> None:
    odd = Patch("mine", context=Path("/sounds/h\udcf6re.wav"))
    part = part_of(Played(odd, None))
    assert part.context == ""
    encode(Content(part), "1.0").encode()
