"""`python -m jbdiff_live` and the `jbdiff-live` command.

Nothing is imported at the top, so that Ctrl-C is caught from the start.
"""

from __future__ import annotations


def main() -> None:
    """Run the command line. On Ctrl-C end with the status 130, also while modules are being imported."""
    try:
        from jbdiff.program import begin
        from jbdiff_live.system.ending import ThreadsLeft

        begin("jbdiff-live")
        left = ThreadsLeft()  # before other modules register with atexit
        try:
            from jbdiff_live.start.command import app

            app()
        except SystemExit as end:
            left.status = end.code if isinstance(end.code, int) else int(end.code is not None)
            raise
    except KeyboardInterrupt:  # typer is not there yet to catch it
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
