"""Which versions of what are installed."""

from __future__ import annotations

import platform
from importlib import metadata

from . import __version__


def installed_versions(*names: str) -> dict[str, str | None]:
    """t1diff, python and the distributions `names`; None where one is not installed."""
    result: dict[str, str | None] = {"t1diff": __version__, "python": platform.python_version()}
    for name in names:
        try:
            result[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            result[name] = None
    return result
