"""CMRxRecon (Wang et al., Scientific Data 2024, 11:687): k-space of cine and of MOLLI of the same people.

The dataset holds no position of any slice in the patient, so geometry here is partly an assumption, which
the notes of every record say: voxel sizes are those of the NIfTI files that lie beside the k-space, where
there are any, else nominal ones; both stacks are centred on one axis.
"""

from .studies import is_cohort, studies

__all__ = ["is_cohort", "studies"]
