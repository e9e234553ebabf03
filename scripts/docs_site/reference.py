"""Write the generated pages: README as index, and one page of the reference for each package of both libraries."""

from __future__ import annotations

import ast
from pathlib import Path

import mkdocs_gen_files

ROOT = Path(__file__).resolve().parent.parent.parent


def modules(folder: Path) -> list[str]:
    """Return the names of the modules in a folder that have a docstring and are not the entry of a command."""
    found = []
    for path in sorted(folder.glob("*.py")):
        if path.stem != "__main__" and ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found.append(".".join(parts[:-1] if path.stem == "__init__" else parts))
    return found


def write() -> None:
    """Write every page."""
    with mkdocs_gen_files.open("index.md", "w") as index:
        index.write((ROOT / "README.md").read_text(encoding="utf-8"))
    for package in ("jbdiff", "jbdiff_live"):
        folders = [ROOT / package, *sorted(path for path in (ROOT / package).rglob("*") if path.is_dir())]
        for folder in folders:
            names = modules(folder)
            if not names:
                continue
            title = ".".join(folder.relative_to(ROOT).parts)
            with mkdocs_gen_files.open(f"reference/{title}.md", "w") as page:
                page.write(f"# {title}\n\n" + "\n\n".join(f"::: {name}" for name in names) + "\n")


write()
