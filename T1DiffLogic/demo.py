"""The main job on a digital patient: written to disk as DICOM, then read back as any study would be."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

from .errors import StudyError, UsageError
from .progress import Reporter, Stopwatch, within

INPUT, NATIVE = "dicom_in", "t1_map"
MARKER = "WRITTEN_BY_T1DIFF_DEMO.txt"
MARKER_TEXT = "Digital patient of `t1diff demo`; the next demo in this folder replaces all files here.\n"


def write_digital_patient(seed: int, folder: Path, dialect: str, progress):
    """Renders the infarcted patient of `seed` and writes the examination as DICOM below `folder`.

    cine/ holds the short-axis cine with scouts and long-axis cine, t1_map/ the native map with a colour
    screenshot of it, as exports usually do. Returns the phantom.patient.DigitalPatient.
    """
    from .phantom.dicom_writer import write_cine, write_screenshot, write_t1_map
    from .phantom.patient import digital_patient

    patient = digital_patient(seed, infarcted=True, progress=progress)
    write_cine(patient.cine, folder / "cine", dialect, seed=seed)
    write_t1_map(patient.t1, folder / NATIVE, dialect, seed=seed)
    write_screenshot(patient.t1, folder / NATIVE, seed=seed)
    return patient


def run_demo(output: Path, index: int, dialect: str, device: str, reporter: Reporter) -> dict:
    """`t1diff demo`: test patient `index` through the whole way; returns what result.json holds.

    Raises UsageError for an index outside the test range, StudyError for a folder that is not the demo's to
    write.
    """
    from .options import SynthesisOptions
    from .outputs import check_writable
    from .phantom.draws import SEEDS, patient_seed
    from .summary import summary_of
    from .whole_study import run_study

    kept = len(SEEDS["test"])
    if not 0 <= index < kept:
        raise UsageError(f"--seed {index} is outside 0…{kept - 1}, the patients kept for tests.")
    seed, watch = patient_seed("test", index), Stopwatch()
    check_writable(output)
    folder = output / INPUT
    with watch("patient"), replaced_input(output) as stage:
        patient = write_digital_patient(seed, stage, dialect, within(reporter, "patient"))
    reporter.say(f"Digital patient {seed}, never seen in training: {dialect} DICOM in {folder}")
    _, result = run_study(
        folder, output, folder / NATIVE, lambda cine: SynthesisOptions(device=device), reporter, watch
    )
    reporter.say(
        f"Truth of this patient: ED phase {patient.ed}, ES phase {patient.es}; EDV {patient.edv_ml:.0f} mL, "
        f"ESV {patient.esv_ml:.0f} mL"
    )
    reporter.say()
    for line in summary_of(result, output):
        reporter.say(line)
    reporter.say(f"The same by hand: t1diff synthesize {folder} --native {folder / NATIVE} -o OUT")
    return result


@contextmanager
def replaced_input(output: Path):
    """A hidden folder to write a patient into, which becomes `output`/dicom_in when it is whole.

    Until then, and for good after an error or a cancel, `output` is as it was. An earlier demo's dicom_in
    goes, and before it the result.json with its files: they are another patient's. Raises StudyError when
    dicom_in holds files that no demo wrote.
    """
    from .outputs import STAGE, remove_earlier

    target = output / INPUT
    if target.exists() and any(target.iterdir()) and not (target / MARKER).is_file():
        raise StudyError(f"{target} holds files that no demo wrote; choose another folder with -o.")
    with tempfile.TemporaryDirectory(prefix=STAGE, dir=output) as hidden:
        stage = Path(hidden) / INPUT
        stage.mkdir()
        (stage / MARKER).write_text(MARKER_TEXT, encoding="utf-8")
        yield stage
        remove_earlier(output)
        if target.exists():
            shutil.rmtree(target)
        stage.replace(target)
