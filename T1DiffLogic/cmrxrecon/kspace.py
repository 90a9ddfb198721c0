"""Fully sampled k-space in MATLAB files -> magnitude images, one slice in memory at a time.

Layout as the challenge's repository tells it: MATLAB axes (kx, ky, coil, slice, time) of `kspace_full` or
`kspace`, or (kx, ky, slice, time) of `kspace_single_full`; files of version 7.3 are HDF5, whose axes run the
other way, complex numbers as pairs of `real` and `imag`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ..errors import StudyError

MULTI_COIL = ("kspace_full", "kspace")
SINGLE_COIL = ("kspace_single_full",)


def read_images(path: Path) -> np.ndarray:
    """(S, T, R, C) float32 magnitude images of `path`, scaled to a maximum of 4095.

    Rows are kx, columns ky, as the challenge shows them. Coils are combined by the root of the sum of their
    squares. Raises StudyError when the file holds no fully sampled k-space or cannot be read.
    """
    images = []
    with _slices(path) as slices:
        for kspace in slices:
            coils = image_of(kspace)
            images.append(np.sqrt((coils.real**2 + coils.imag**2).sum(axis=1)))
    images = np.stack(images)
    top = float(images.max())
    if not np.isfinite(top) or top <= 0:
        raise StudyError(f"the k-space of {path.name} is empty or holds NaN; download the file again.")
    return (images * (4095 / top)).astype(np.float32)


def image_of(kspace: np.ndarray) -> np.ndarray:
    """(..., R, C) complex image of centred k-space (..., kx, ky), centred and orthonormal."""
    axes = (-2, -1)
    shifted = np.fft.ifftshift(kspace, axes=axes)
    return np.fft.fftshift(np.fft.ifft2(shifted, axes=axes, norm="ortho"), axes=axes)


@contextmanager
def _slices(path: Path) -> Iterator[Iterator[np.ndarray]]:
    """An iterator over the slices of the k-space in `path`: (T, coil, kx, ky) complex64 each."""
    try:
        import h5py
    except ModuleNotFoundError:
        raise StudyError("CMRxRecon files need h5py; install t1diff with its extra 'train'.") from None
    if not path.is_file():
        raise StudyError(f"{path} does not exist; download the fully sampled set (FullSample).")
    if not h5py.is_hdf5(path):
        yield iter(_version_5(path))
        return
    try:
        with h5py.File(path, "r") as file:
            name = _variable(file.keys(), path)
            data, single = file[name], name in SINGLE_COIL
            if data.ndim != 5 - single:
                raise StudyError(f"{name} in {path.name} has {data.ndim} axes, expected {5 - single}.")
            yield (_complex(data[:, z], single) for z in range(data.shape[1]))
    except OSError as error:
        raise StudyError(f"{path.name} cannot be read as a MATLAB 7.3 file; download it again.") from error


def _complex(block: np.ndarray, single: bool) -> np.ndarray:
    """(T, coil, kx, ky) of one slice as HDF5 keeps it: (T, [coil,] ky, kx)."""
    if block.dtype.names:
        block = block["real"] + 1j * block["imag"]
    block = block[:, None] if single else block
    return np.swapaxes(block, -1, -2).astype(np.complex64)


def _version_5(path: Path) -> list[np.ndarray]:
    """The same of a MATLAB file before 7.3, whose axes come in MATLAB's order."""
    from scipy.io import loadmat

    try:
        contents = loadmat(path)
    except Exception as error:  # whatever a damaged or foreign file makes of the parser
        raise StudyError(f"{path.name} cannot be read as a MATLAB file; download it again.") from error
    name = _variable(contents, path)
    data = contents[name]
    if name in SINGLE_COIL:
        data = data[:, :, None]
    if data.ndim != 5:
        raise StudyError(f"{name} in {path.name} has {data.ndim} axes, expected 5.")
    return [np.moveaxis(data[:, :, :, z], (3, 2), (0, 1)).astype(np.complex64) for z in range(data.shape[3])]


def _variable(names, path: Path) -> str:
    for name in (*MULTI_COIL, *SINGLE_COIL):
        if name in names:
            return name
    found = ", ".join(sorted(n for n in names if not n.startswith(("_", "#")))) or "nothing"
    raise StudyError(
        f"{path.name} holds {found}, not the fully sampled {MULTI_COIL[0]}; give the FullSample folder."
    )
