"""Write a text file whole or not at all, so that no reader and no interruption leaves half of it."""

from __future__ import annotations

import os
from pathlib import Path


def replace_text(path: Path, text: str) -> None:
    """Write a file beside the old one and rename it. Several processes may do it at once. Raises OSError."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)
