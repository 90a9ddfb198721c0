"""What a local worker process does first (a Dask preload)."""

from __future__ import annotations

import signal


def dask_setup(worker) -> None:
    """Ctrl-C reaches the whole process group; here only the main process answers it, in good order."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
