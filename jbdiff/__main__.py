"""`python -m jbdiff` and the `jbdiff` command."""

from __future__ import annotations


def main() -> None:
    """Run the command line."""
    from jbdiff.cli import app
    from jbdiff.terminal import speak_any_text

    speak_any_text()
    app()


if __name__ == "__main__":
    main()
