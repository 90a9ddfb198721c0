"""One study from disk to disk: what `t1diff synthesize` and `t1diff demo` do, in one place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from .options import SynthesisOptions
from .progress import Reporter, Stopwatch
from .study import Cine, Synthesis


def run_study(
    study: Path,
    output: Path,
    native: Path | None,
    options_for: Callable[[Cine], SynthesisOptions],
    reporter: Reporter,
    watch: Stopwatch | None = None,
    record: Path | None = None,
    reference: Path | None = None,
    identify: bool = False,
) -> tuple[Synthesis, dict]:
    """Reads `study`, synthesises, writes `output`; returns the Synthesis and what result.json holds.

    options_for  makes the options once the cine, and so the grid of reviewed labels, is known
    record       where to write the whole Synthesis too, for a program that goes on with it (study_files)
    reference    file of the site's range of native T1, this installation's for None
    identify     whether report.html names the patient

    Raises StudyError before any long work when `output` cannot be written or `reference` not be read.
    """
    from .loading import load_cine, load_t1_map
    from .outputs import check_writable, write_outputs
    from .report.reference import read_reference
    from .synthesis import synthesize

    watch = watch or Stopwatch()
    site = read_reference(reference)
    check_writable(output)
    if record is not None:
        check_writable(Path(record).parent)
    with watch("read"):
        reporter("read", 0.0)
        cine = load_cine(study)
        native_map = load_t1_map(native) if native is not None else None
        options = options_for(cine)
        reporter("read", 1.0)
    synthesis = synthesize(cine, options, native=native_map, progress=reporter, watch=watch)
    if record is not None:
        from .study_files import write_synthesis

        write_synthesis(synthesis, record)
    result = write_outputs(synthesis, output, watch.seconds, reporter, site, identify)
    for ignored in cine.source.ignored:
        reporter.say(f"Set aside: {ignored}")
    reporter.event("done", output=str(output), status=result["status"])
    return synthesis, result
