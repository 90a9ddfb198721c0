"""A child process: reads a study from disk, or renders the digital patient, and leaves it as records.

    python read_study.py FOLDER OUT            the cine of FOLDER, and the native T1 map if it holds one
    python read_study.py --sample CACHE OUT    the digital patient of the sample data

Writes OUT/study.cine.npz and, where there is one, OUT/native.t1map.npz. Tells its progress as JSON
lines and exits as `t1diff` does, so that loading a large folder neither freezes the window nor can
end it.
"""

from __future__ import annotations

import sys
from pathlib import Path


def read(source: str, output: Path, progress, sample: bool = False) -> None:
    """Reads the cine of `source` and the native map that lies beside it; StudyError when there is no cine."""
    from T1DiffLogic.errors import StudyError
    from T1DiffLogic.loading import load_cine, load_t1_map
    from T1DiffLogic.study_files import write_cine, write_t1_map

    progress("read", 0.0)
    if sample:
        from T1DiffLib.sample_data import digital_patient_folder

        try:
            source = digital_patient_folder(source)
        except RuntimeError as error:
            raise StudyError(str(error)) from error
    progress("read", 0.3)
    cine = load_cine(source)
    progress("read", 0.7)
    try:
        native = load_t1_map(source) if Path(source).is_dir() else None
    except StudyError:
        native = None  # a study without a T1 map is the usual case
    output.mkdir(parents=True, exist_ok=True)
    write_cine(cine, output / "study.cine.npz")
    if native is not None:
        write_t1_map(native, output / "native.t1map.npz")
    progress("read", 1.0)


def main(arguments: list[str]) -> int:
    """Exit code 0 or 1."""
    from T1DiffLogic.cli import sentence_of
    from T1DiffLogic.progress import Reporter

    reporter = Reporter("json")
    sample = arguments[0] == "--sample"
    try:
        read(arguments[-2], Path(arguments[-1]), reporter, sample)
    except (Exception, KeyboardInterrupt) as error:
        reporter.event("error", message=sentence_of(error))
        return 1
    reporter.event("done", output=arguments[-1], status="ok")
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    sys.exit(main(sys.argv[1:]))
