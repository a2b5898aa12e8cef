"""`nextbest warm`: compile before the first event waits for it."""

from __future__ import annotations

import typer


def warm() -> None:
    """Rehearse run, lookup and decision once, so that every kernel is compiled.

    Takes about a minute where nothing was compiled, and shows that what is installed works. The
    machine code is kept in NUMBA_CACHE_DIR; without it, beside the code or in the user's cache.
    """
    from .commands.rehearsal import rehearse

    done = rehearse()
    place = "" if done.directory is None else f" in {done.directory}"
    typer.echo(
        f"{done.kernels} kernels ({done.size / 1e6:.1f} MB) are compiled{place}, "
        f"after {done.seconds:.0f} s"
    )
