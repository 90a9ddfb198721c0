"""What all DICOM objects of one result share: identifiers, marking as synthetic, equipment, dates."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import highdicom
import numpy as np
from highdicom.base import SOPClass
from highdicom.base_content import ContributingEquipment
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from ..study import T1_SCALE_NOTICE, Synthesis
from ..study_files import plain_value
from .source import CHARACTER_SET, SourceStudy

NOTICE = "SYNTHETIC T1 – NOT FOR CLINICAL USE"
NO_VALUE = "0 = no value"
MANUFACTURER = "T1Diff"
CREATOR = "T1Diff^"
"""ContentCreatorName (0070,0084), a person name of one part; no person has a hand in these objects."""

SERIES = {
    "t1_map": (9101, "T1 map"),
    "t1_sd": (9102, "T1 SD"),
    "t1_image": (9103, "T1 image"),
    "segmentation": (9104, "LV at ED"),
    "aha": (9105, "AHA segments"),
    "measurements": (9106, "AHA-16 table"),
    "overlay": (9107, "overlay"),
}
"""SeriesNumber (0020,0011), above what scanners give, and the end of SeriesDescription, by role."""


@dataclass(frozen=True, eq=False)
class Edition:
    """One result on its way to DICOM.

    made_at  local time of making: InstanceCreationDate, ContentDate, SeriesDate and their times

    UIDs follow from everything else, and from that alone: source images, model, seed, options as far as
    they changed a number, and the numbers themselves. So a re-run gives the same objects again, and a
    result that differs in anything gets UIDs of its own.
    """

    synthesis: Synthesis
    source: SourceStudy
    segments: list[dict]
    made_at: datetime
    _key: str = field(init=False)

    def __post_init__(self):
        digest = hashlib.sha256()
        synthesis = self.synthesis
        left_out = ("device", "versions", "notes", "ignored")
        stated = [
            {k: v for k, v in synthesis.provenance.items() if k not in left_out},
            self.version,
            highdicom.__version__,
            [synthesis.phases.ed, synthesis.phases.es, synthesis.phases.count],
            [image.sop_instance for image in self.source.images],
            [image.frame for image in self.source.images],
            self.segments,
            [[s.level, s.valid, s.flags] for s in synthesis.slices],
        ]
        digest.update(json.dumps(stated, sort_keys=True, default=plain_value).encode("utf-8"))
        for array in (synthesis.t1_ms, synthesis.sd_ms, synthesis.valid, synthesis.aha,
                      synthesis.segmentation.labels_ed):  # fmt: skip
            digest.update(np.ascontiguousarray(array).tobytes())
        object.__setattr__(self, "_key", digest.hexdigest())

    def uid(self, *parts) -> str:
        """The same UID for the same result and parts."""
        return generate_uid(entropy_srcs=["T1Diff result", self._key, *map(str, parts)])

    @property
    def version(self) -> str:
        return str(self.synthesis.provenance["versions"].get("t1diff", ""))

    @property
    def model(self) -> str:
        return str(self.synthesis.provenance["model"])

    @property
    def weights(self) -> str:
        """SHA-256 of the model's weights: 64 hexadecimal digits, just what an LO holds."""
        return str(self.synthesis.provenance["weights_sha256"])

    @property
    def software(self) -> tuple[str, str]:
        """SoftwareVersions (0018,1020). The hash first: at the end a padding blank would make it too long."""
        return self.weights, f"T1Diff {self.version}"

    def names(self, role: str, instance: int = 1) -> dict:
        """Arguments that every constructor of highdicom takes."""
        number, what = SERIES[role]
        return {
            "series_instance_uid": self.uid("series", role),
            "series_number": number,
            "sop_instance_uid": self.uid("instance", role, instance),
            "instance_number": instance,
            "manufacturer": MANUFACTURER,
            "manufacturer_model_name": self.model,
            "software_versions": self.software,
            "device_serial_number": self.weights[:16],
            "series_description": f"{NOTICE} – {what}",
            "specific_character_set": CHARACTER_SET,
            "transfer_syntax_uid": ExplicitVRLittleEndian,
        }

    def image(self, role: str, sop_class: str, modality: str, instance: int, header: Dataset) -> SOPClass:
        """The beginning of a single-frame image object of the patient and study of `header`."""
        result = SOPClass(
            study_instance_uid=header.StudyInstanceUID,
            sop_class_uid=sop_class,
            modality=modality,
            patient_id=header.PatientID,
            patient_name=header.PatientName,
            patient_birth_date=header.PatientBirthDate,
            patient_sex=header.PatientSex,
            accession_number=header.AccessionNumber,
            study_id=header.StudyID,
            study_date=header.StudyDate,
            study_time=header.StudyTime,
            referring_physician_name=header.ReferringPhysicianName,
            **self.names(role, instance),
        )
        result.copy_patient_and_study_information(header)
        result.LossyImageCompression = header.get("LossyImageCompression") or "00"
        for keyword in ("LossyImageCompressionRatio", "LossyImageCompressionMethod"):
            if keyword in header:
                setattr(result, keyword, header[keyword].value)
        return result

    def derivation(self) -> str:
        """DerivationDescription (0008,2111), an ST of at most 1024 characters."""
        p, phases = self.synthesis.provenance, self.synthesis.phases
        return (
            f"{NOTICE}. T1 in ms ({T1_SCALE_NOTICE}) synthesised from the short-axis cine, all phases; the "
            f"referenced images are its ED phase ({phases.ed}, ES {phases.es} of {phases.count}, from 0). "
            f"Model {p['model']}, weights SHA-256 {p['weights_sha256']}, trained on {p['trained_on']}; "
            f"sampler {p['sampler']}, {p['steps']} steps, {p['samples']} samples, seed {p['seed']}. "
            f"{NO_VALUE}: outside the field, or a slice that was not judged."
        )[:1024]

    def finish(self, dataset: Dataset, is_image: bool = True) -> Dataset:
        """Marks `dataset` as synthetic research output and dates it; returns it."""
        dataset.SyntheticData = "YES"
        dataset.ContentQualification = "RESEARCH"
        dataset.ContributingEquipmentSequence = self._equipment()
        if is_image:
            dataset.BodyPartExamined = "HEART"
            dataset.DerivationDescription = self.derivation()
        date, time = self.made_at.strftime("%Y%m%d"), self.made_at.strftime("%H%M%S.%f")
        for event in ("InstanceCreation", "Content", "Series"):
            setattr(dataset, f"{event}Date", date)
            setattr(dataset, f"{event}Time", time)
        organisation = self.uid("dimension organisation", dataset.SOPInstanceUID)
        for sequence in ("DimensionOrganizationSequence", "DimensionIndexSequence"):
            for item in dataset.get(sequence, []):
                item.DimensionOrganizationUID = organisation
        return dataset

    def save(self, dataset: Dataset, folder: Path, name: str) -> str:
        """Writes `dataset` as `name`.dcm and returns its path below OUT."""
        dataset.save_as(folder / f"{name}.dcm", enforce_file_format=True)
        return f"dicom/{name}.dcm"

    def _equipment(self) -> list[ContributingEquipment]:
        """The scanner, T1Diff with its model and weights, highdicom."""
        p = self.synthesis.provenance
        segmenter = p["segmenter"]
        result = []
        if self.source.headers[0].get("Manufacturer"):
            result.append(ContributingEquipment.for_image_acquisition(self.source.headers[0]))
        result.append(
            ContributingEquipment(
                MANUFACTURER,
                codes.DCM.ProcessingEquipment,
                manufacturer_model_name=self.model,
                software_versions=self.software,
                device_serial_number=self.weights[:16],
                contribution_datetime=self.made_at,
                contribution_description=(
                    f"Synthesis of T1: model {self.model}, weights SHA-256 {self.weights}. Segmentation: "
                    f"{segmenter['name']}, weights SHA-256 {segmenter['weights_sha256']}. {NOTICE}"
                )[:1024],
            )
        )
        library = ContributingEquipment.for_highdicom()
        library.ContributionDateTime = self.made_at
        return [*result, library]
