"""Which split a patient belongs to: a matter of the patient and the seed alone, never of the others."""

from __future__ import annotations

import hashlib

from ..errors import UsageError


def split_of(patient: str, seed: int, test_share: float, validation_share: float) -> str:
    """ "train", "validation" or "test" of a pseudonym.

    The split follows from a hash of pseudonym and seed, so that patients who join a cohort later move nobody
    else, and all slices and examinations of one patient go together. Shares are probabilities: of 300
    patients at 0.1 some 30 ± 5 are test patients.
    Raises UsageError when the shares are no shares.
    """
    if not (0 <= test_share < 1 and 0 <= validation_share < 1 and test_share + validation_share < 1):
        raise UsageError(
            f"--test-share {test_share:g} and --validation-share {validation_share:g} leave nobody to train."
        )
    digest = hashlib.sha256(f"T1Diff split {seed} {patient}".encode()).digest()
    at = int.from_bytes(digest[:8], "big") / 2**64
    if at < test_share:
        return "test"
    return "validation" if at < test_share + validation_share else "train"
