"""`t1diff info`: versions, devices and models, as a person needs them before running anything."""

from __future__ import annotations

from ..versions import installed_versions

PACKAGES = ("torch", "numpy", "SimpleITK", "pydicom", "safetensors", "matplotlib", "slicer-core", "lightning")


def add(subparsers, common) -> None:
    """Declares the command."""
    parser = subparsers.add_parser("info", parents=[common], help="versions, devices and installed models")
    parser.set_defaults(run=run)


def run(args, reporter) -> None:
    """Prints what is installed; a missing package is told, not an error."""
    found = {"versions": installed_versions(*PACKAGES), "device": device(), "models": models()}
    reporter.event("info", **found)
    for name, version in found["versions"].items():
        reporter.say(f"{name:<12} {version or 'not installed'}")
    reporter.say(f"{'device':<12} {found['device']}")
    for name, model in found["models"].items():
        reporter.say(f"{name:<12} {model}")


def device() -> str:
    """What `--device auto` takes on this machine."""
    try:
        import torch
    except (ImportError, OSError) as error:  # OSError: a half-installed torch misses its libraries
        return f"torch cannot be loaded ({type(error).__name__}); install it again"
    if torch.cuda.is_available():
        return f"cuda ({torch.cuda.get_device_name(0)})"
    return f"cpu ({torch.get_num_threads()} threads)"


def models() -> dict[str, str]:
    """Each folder under Resources/Models with the size of its weights."""
    from ..resources import resources_folder

    result = {}
    for weights in sorted(resources_folder().glob("Models/*/model.safetensors")):
        result[weights.parent.name] = f"{weights.stat().st_size / 2**20:.1f} MiB, {weights.parent}"
    return result
