"""`python -m jbdiff` and the `jbdiff` command."""

from __future__ import annotations


def main() -> None:
    """Run the command line."""
    try:
        from jbdiff.program import begin

        begin("jbdiff")
        from jbdiff.cli import app

        app()
    except KeyboardInterrupt:  # typer is not there yet to catch it
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
