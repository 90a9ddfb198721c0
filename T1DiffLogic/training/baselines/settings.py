"""Strict settings: what a configuration file says of a rival method is known, complete and of its type."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, TypeVar

from ...errors import StudyError

Settings = TypeVar("Settings")
TYPES = {"int": int, "float": (int, float), "bool": bool, "str": str, "list": list}


def read_settings(cls: type[Settings], method: str, values: dict[str, Any]) -> Settings:
    """A frozen dataclass from JSON values. StudyError names a setting that is unknown, missing or of the
    wrong type: a typing error must not train another method than was asked for."""
    types = {f.name: TYPES[f.type] for f in fields(cls)}
    for name in [*types, *values]:
        if name not in types:
            raise StudyError(f"{method} has no setting '{name}'; it has {', '.join(types)}.")
        if name not in values:
            raise StudyError(f"setting '{name}' of {method} is missing from its configuration.")
        value = values[name]
        if not isinstance(value, types[name]) or (isinstance(value, bool) and types[name] is not bool):
            raise StudyError(f"setting '{name}' of {method} is {value!r}, which has the wrong type.")
    try:
        return cls(**values)
    except ValueError as error:
        raise StudyError(f"the settings of {method} cannot be used: {error}.") from error
