"""The patch that plays: loading, saving, the next one in the list, and the patches of program changes.

Threads: the window's, the command line's and that of the program changes may load and save. A lock lets one of them
work at a time. Any thread may read `name`, `program` and `problem`. May block on the disk.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from jbdiff_live.beat.line import Unit
from jbdiff_live.beat.modulation import Modulation
from jbdiff_live.binding import Binding
from jbdiff_live.desks.history import History, Moment, Step
from jbdiff_live.desks.patch_state import PatchState
from jbdiff_live.desks.stack_desk import StackDesk
from jbdiff_live.parameters import BY_NAME, Origin, ParameterStore
from jbdiff_live.patch import (
    Patch,
    PatchError,
    factory_patches,
    load_patch,
    own_patches,
    patch_programs,
    save_patch,
)
from jbdiff_live.scenes.scene import Kept
from jbdiff_live.shown import shown
from jbdiff_live.stack_choice import StackChoice

NO_PATCH = Patch(name="untitled")  # before the first patch is loaded


class Bindings(Protocol):
    """The part of the control map that a patch uses."""

    @property
    def suggested(self) -> tuple[Binding, ...]: ...

    def suggest(self, bindings: Iterable[Binding]) -> None: ...


class Files(Protocol):
    """The part of the desk of sound files that a patch uses."""

    def takes(self, role: str) -> bool: ...
    def wanted(self, role: str) -> str: ...
    def load(self, role: str, path: Path, asked_by: str = "") -> None: ...
    def forget_problem(self, role: str) -> None: ...


class SceneRack(Protocol):
    """The part of the desk of scenes that a patch uses."""

    @property
    def kept(self) -> Kept: ...

    def put(self, kept: Kept) -> None: ...


class PatchDesk:
    """`own_folder` holds the player's own patches; None for a user without folders."""

    def __init__(
        self,
        store: ParameterStore,
        bindings: Bindings,
        modulation: Modulation,
        stacks: StackDesk,
        sounds: Files,
        scenes: SceneRack,
        history: History,
        say: Callable[[str], None],
        own_folder: Callable[[], Path | None],
    ) -> None:
        self._store = store
        self._bindings = bindings
        self._modulation = modulation
        self._stacks = stacks
        self._sounds = sounds
        self._scenes = scenes
        self._history = history
        self._say = say
        self._own_folder = own_folder
        self._lock = threading.Lock()  # one patch at a time
        self._patch = NO_PATCH  # swapped whole
        self._path: Path | None = None
        # Stack and sounds as they were when the patch was loaded or saved.
        self._begun: tuple[StackChoice | None, str, str] = None, "", ""
        self.problem = ""

    @property
    def name(self) -> str:
        return self._patch.name

    @property
    def program(self) -> int | None:
        """The MIDI program that loads this patch, 1 to 128; None if it has none."""
        return self._patch.program

    @property
    def stage(self) -> tuple[str, ...]:
        """The knobs that the patch wants on the stage view; empty for the usual ones."""
        return self._patch.stage

    @property
    def values(self) -> Mapping[str, float]:
        """The values that the patch names. The same object as long as the patch stays."""
        return self._patch.numbers

    @property
    def file(self) -> str:
        """The patch's path as it can be shown; empty without a file."""
        path = self._path
        return "" if path is None else shown(path)

    @property
    def path(self) -> Path | None:
        """The patch's file; None without one."""
        return self._path

    def moved(self, old: Path, new: Path) -> None:
        """Follow the file of the patch that plays to its new name. Does nothing for other files."""
        with self._lock:
            if self._path in (old, old.resolve()):
                self._patch, self._path = replace(self._patch, name=new.stem), new.resolve()

    def patches(self) -> Mapping[str, Path]:
        """All patches by name; the player's own come after the factory's."""
        return {**factory_patches(), **own_patches(self._own_folder())}

    def programs(self) -> Mapping[str, int]:
        return patch_programs(self.patches())

    def load(self, path: Path, asked_at: float | None = None, hold: Unit | None = None) -> None:
        """Take over values, LFOs, suggested bindings, the stack and the sound to begin from.

        asked_at: when the player asked, on `time.monotonic`; None is now. hold: what the values wait for; None follows
        the knob Hold changes. PatchError names the line and the remedy.
        """
        began = time.monotonic() if asked_at is None else asked_at
        with self._lock:
            patch = load_patch(path)
            again = path.resolve() == self._path
            first, before = self._patch is NO_PATCH, self.state(patch.values)
            patch.apply(self._store, hold)
            self._modulation.put_all(patch.lfos)
            self._bindings.suggest(patch.bindings)
            self._scenes.put(Kept(patch.scenes))
            self._patch, self._path = patch, path.resolve()
            self.problem = ""
            self._sounds.forget_problem("context")
            self._say(f"patch {patch.name} loaded")
            # Music that began from the same sound goes on, unless the same patch is loaded again.
            # The sound is asked for first, because the stack waits for it and then takes over with it.
            begins = again or str(patch.context) != self._sounds.wanted("context")
            if begins and patch.context is not None and self._sounds.takes("context"):
                self._sounds.load("context", patch.context, f"patch {patch.name!r}")
            if patch.init is not None and (again or str(patch.init) != self._sounds.wanted("init")):
                self._load_init(patch.init, patch.name)
            self._stacks.from_patch(patch.choice, began)
            self._begun = self._choices()
            if first:
                self._history.forget()  # there is no patch to go back to
            else:
                after = self.state(patch.values)
                self._history.push(Step(f"patch {patch.name}", Moment(patch=before), Moment(patch=after)))

    def _load_init(self, path: Path, name: str) -> None:
        if self._sounds.takes("init"):
            self._sounds.forget_problem("init")
            self._sounds.load("init", path, f"patch {name!r}")

    # ------------------------------------------------------------------ the way back

    @property
    def saved(self) -> Patch:
        """The patch as its file has it."""
        return self._patch

    @property
    def modified(self) -> bool:
        """True if what plays differs from the patch's file. A value that the file does not name does not count."""
        patch, now = self._patch, self._store.snapshot
        return (
            any(now[name] != value for name, value in patch.numbers.items())
            or self._scenes.kept.scenes != patch.scenes
            or dict(self._modulation.lfos) != dict(patch.lfos)
            or tuple(self._bindings.suggested) != tuple(patch.bindings)
            or self._choices() != self._begun
        )

    def _choices(self) -> tuple[StackChoice | None, str, str]:
        return self._stacks.choice, self._sounds.wanted("context"), self._sounds.wanted("init")

    def state(self, names: Iterable[str]) -> PatchState:
        """Return the patch as it is played now, with the values of these parameters. Any thread."""
        values = self._store.snapshot.values
        return PatchState(
            self._patch,
            self._path,
            {name: values[name] for name in names},
            self._modulation.lfos,
            self._bindings.suggested,
            self._scenes.kept,
            *self._choices(),
            self._begun,
        )

    def restore(self, state: PatchState) -> None:
        """Go back to a patch as it was played. Another stack loads beside the music, and so does another sound."""
        with self._lock:
            self._store.set_many(state.values, Origin.UNDO, Unit.OFF)
            self._modulation.put_all(state.lfos)
            self._bindings.suggest(state.bindings)
            self._scenes.put(state.scenes)
            self._patch, self._path = state.patch, state.path
            self._begun, self.problem = state.begun, ""
            if state.context and state.context != self._sounds.wanted("context"):
                self._sounds.load("context", Path(state.context), f"patch {state.patch.name!r}")
            if state.init and state.init != self._sounds.wanted("init"):
                self._load_init(Path(state.init), state.patch.name)
            if state.choice is not None and state.choice != self._stacks.choice:
                self._stacks.choose(state.choice)

    def resume(self, saved: Patch, path: Path | None, played: Patch, scenes: Kept) -> None:
        """Play a patch with unsaved changes, as the last session left it, before the first start.

        saved, path: the patch as its file has it. played: with the values, LFOs, bindings, stack and sound that play.
        """
        now = time.monotonic()
        with self._lock:
            self._store.set_many(played.numbers, Origin.SESSION, Unit.OFF)
            self._modulation.put_all(played.lfos)
            self._bindings.suggest(played.bindings)
            self._scenes.put(scenes)
            self._patch, self._path, self.problem = saved, path, ""
            self._stacks.from_patch(saved.choice, now)
            begun = self._stacks.choice
            self._stacks.from_patch(played.choice, now)
            # Two paths of one file are no change.
            context = saved.context if _same(saved.context, played.context) else played.context
            if context is not None and self._sounds.takes("context"):
                self._sounds.load("context", context, "the session")
            init = played.init if _same(saved.init, played.init) else saved.init or played.init
            self._begun = begun, str(saved.context or context or ""), str(init or "")
            self._history.forget()

    def load_neighbour(self, step: int, hold: Unit | None = None) -> None:
        """Load the patch that is `step` places after this one in the list, around its end."""
        paths = list(self.patches().values())
        here = [path.resolve() for path in paths]
        if not paths:
            return
        before = here.index(self._path) if self._path in here else -1 if step > 0 else 0
        self.load(paths[(before + step) % len(paths)], hold=hold)

    def load_program(self, number: int, text: str, listed: str | None, asked_at: float) -> None:
        """Load the patch of a program change. A player's own patch is preferred to one of the factory's.

        text: the message in words for the player. listed: the patch that the controller's own map names, or None.
        """
        found = {program: name for name, program in self.programs().items()}
        if listed is None and number not in found:
            self._say(f"{text}: no patch has it; write program = {number} into one")
            return
        name, patches = listed or found[number], self.patches()
        if name not in patches:
            self.problem = f"{text}: its controller's map names patch {name!r}, but there is no such patch"
            return
        try:
            self.load(patches[name], asked_at)
        except (PatchError, OSError) as error:
            self.problem = f"{text}: {error}"

    def save(self, path: Path, name: str) -> None:
        """Write the present settings into a file. PatchError or OSError gives the reason of a failure.

        The factory's own files are not written: PatchError.
        """
        if any(path.resolve() == factory.resolve() for factory in factory_patches().values()):
            raise PatchError(
                f"{path.name} comes with the instrument and stays as it is; save under another name, or in "
                "another folder"
            )
        with self._lock:
            same = path.resolve() == self._path
            # A copy under another name does not take the program from its original.
            patch = replace(self.played(), name=name, program=self._patch.program if same else None)
            save_patch(path, patch)
            self._patch, self._path = patch, path.resolve()
            self._begun = self._choices()
            self._say(f"patch {name} saved: {path}")

    def played(self) -> Patch:
        """Return the patch as it is played now, for a take or a file. Any thread."""
        context, init = self._sounds.wanted("context"), self._sounds.wanted("init")
        return replace(
            self._patch,
            values={n: BY_NAME[n].plain(value) for n, value in self._store.snapshot.values.items()},
            bindings=self._bindings.suggested,  # learned bindings belong to the controller's map
            choice=self._stacks.choice or self._patch.choice,
            context=Path(context) if context else None,
            init=Path(init) if init else None,
            lfos=self._modulation.lfos,
            scenes=self._scenes.kept.scenes,
        )


def _same(one: Path | None, other: Path | None) -> bool:
    """Return True if both are paths of one file."""
    return one is not None and other is not None and one.resolve() == other.resolve()
