"""T1Diff: native T1 maps synthesised from short-axis cine MRI. For research only.

    from T1DiffLogic import SynthesisOptions, load_cine, synthesize

    cine = load_cine("study/")
    synthesis = synthesize(cine, SynthesisOptions(samples=4, seed=1))
    synthesis.t1_ms          # (S, R, C) ms, 0 where there is no value

Names are resolved on first use, so that importing the package costs nothing.
"""

from importlib import import_module

__version__ = "0.1.0"

_PUBLIC = {
    "Cancelled": "errors",
    "Cine": "study",
    "CardiacPhases": "study",
    "LVSegmentation": "study",
    "SliceGeometry": "study",
    "StudyError": "errors",
    "Synthesis": "study",
    "SynthesisOptions": "options",
    "T1Map": "study",
    "load_cine": "loading",
    "load_labels": "loading",
    "load_rv_insertions": "loading",
    "load_t1_map": "loading",
    "segment": "segmentation",
    "synthesize": "synthesis",
    "write_outputs": "outputs",
}

__all__ = sorted(_PUBLIC)


def __getattr__(name):
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_PUBLIC[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__():
    return sorted(set(globals()) | set(_PUBLIC))
