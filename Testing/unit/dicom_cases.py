"""Synthetic oblique, non-uniform cine stacks and ways to alter the DICOM files made from them."""

from __future__ import annotations

import numpy as np
import pydicom

from T1DiffLogic.study import Cine, SliceGeometry, T1Map

POSITIONS_MM = (0.0, 8.0, 18.0, 27.0, 36.0)


def oblique_geometries(rows=40, columns=48, positions=POSITIONS_MM, seed=0):
    """Parallel slices of a random orientation, unevenly spaced, with unequal row and column spacing."""
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    row, column = q[:, 0], q[:, 1]
    normal = np.cross(row, column)
    return tuple(
        SliceGeometry(np.array([-60.0, 20, 30]) + z * normal, row, column, (1.5, 1.4), (rows, columns), 8.0)
        for z in positions
    )


def smooth_cine(phases=8, positions=POSITIONS_MM, rows=40, columns=48, seed=0) -> Cine:
    """Images that differ in every slice and phase, values 20 to 420."""
    y, x = np.mgrid[:rows, :columns]
    images = [
        [
            220 + 120 * np.sin(x / 5 + s) + 80 * np.cos(y / 4 + 2 * np.pi * p / phases + s)
            for p in range(phases)
        ]
        for s in range(len(positions))
    ]
    times = np.tile(12.5 + np.arange(phases) * 800.0 / phases, (len(positions), 1))
    return Cine(images, oblique_geometries(rows, columns, positions, seed), times)


def t1_slices(positions=POSITIONS_MM, seed=0) -> T1Map:
    """A blood pool of 1820 ms in tissue of 1200 ms with 25 ms noise, around it air of 0."""
    geometries = oblique_geometries(positions=positions, seed=seed)
    y, x = np.mgrid[:40, :48]
    radius = np.hypot(y - 20, x - 24)
    values = np.where(radius < 7, 1820.0, 1200.0) + np.random.default_rng(seed).normal(
        0, 25, (len(positions), 40, 48)
    )
    return T1Map(np.where(radius < 18, values, 0), geometries)


def edit(paths, change) -> None:
    """Apply `change(dataset, number)` to every file in place."""
    for number, path in enumerate(paths):
        dataset = pydicom.dcmread(path)
        change(dataset, number)
        dataset.save_as(path)
