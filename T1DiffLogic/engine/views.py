"""The eight ways to lay a square image, in which the networks have learned to see every slice."""

from __future__ import annotations

from torch import Tensor, rot90

VIEWS = 8


def turned(x: Tensor, view: int) -> Tensor:
    """(…,H,W), H = W, in `view` 0 … 7: by so many quarter turns, from 4 on mirrored, too; 0 is as it is."""
    x = rot90(x, view % 4, (-2, -1)) if view % 4 else x
    return x.flip(-1) if view >= 4 else x


def turned_back(x: Tensor, view: int) -> Tensor:
    """Inverse of `turned`."""
    x = x.flip(-1) if view >= 4 else x
    return rot90(x, -(view % 4), (-2, -1)) if view % 4 else x
