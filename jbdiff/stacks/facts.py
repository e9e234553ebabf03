"""Facts of a stack without its weights: folder, sizes, identity, files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from jbdiff.config import StackConfig
from jbdiff.stacks.stack import CONFIG_NAME, find_folder, read_manifest, verified_identity


@dataclass(frozen=True)
class StackFacts:
    """A stack that was found and verified, but not loaded. `files`: all files of its folder that belong to it."""

    folder: Path
    config: StackConfig
    identity: str  # as `Stack.identity`
    files: tuple[Path, ...]

    @property
    def bytes(self) -> int:
        """Bytes of all its files."""
        return sum(path.stat().st_size for path in self.files)


def stack_facts(name_or_path: str | Path) -> StackFacts:
    """Find a stack, by name or by folder, and verify its files. Raises CheckpointError as `load_stack` does."""
    folder = find_folder(name_or_path)
    manifest = read_manifest(folder)
    identity = verified_identity(manifest)
    files = {entry.path for entry in manifest.entries.values()} | {folder / CONFIG_NAME}
    return StackFacts(
        folder, manifest.config, identity, tuple(sorted(path for path in files if path.is_file()))
    )
