"""What T1Diff needs of Slicer's Python: what is there, what is not, and the one action that mends it.

Torch is tried out in a process of its own: an installation that was broken off looks complete to the
package metadata, and a driver that does not fit can end the process that imports it.
Slicer brings its own numpy, SimpleITK and pydicom; they are never installed, up- or downgraded.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import re
import subprocess
import tomllib
from dataclasses import dataclass
from pathlib import Path

from . import paths

SLICERS_OWN = frozenset({"numpy", "simpleitk", "pydicom"})
TORCH = "torch"
PROBE_SECONDS = 180
"""The first import of torch from a cold disk takes most of a minute on some machines."""

PROBE = """
import json, torch
x = torch.ones(2, 2) @ torch.ones(2, 2)
assert float(x.sum()) == 8.0
cuda = torch.cuda.is_available()
print("T1DIFF" + json.dumps({
    "version": torch.__version__, "cuda": torch.version.cuda,
    "gpu": torch.cuda.get_device_name(0) if cuda else None,
    "usable": bool(float((torch.ones(2, device="cuda") * 2).sum()) == 4.0) if cuda else False,
}))
"""

# actions, in the order in which they are needed
UPDATE_SLICER = "update Slicer"
INSTALL_PACKAGES = "install packages"
INSTALL_TORCH = "install torch"
REPAIR_TORCH = "repair torch"


@dataclass(frozen=True)
class Package:
    """One requirement of pyproject.toml and what is installed of it (None: nothing)."""

    name: str
    minimum: str
    installed: str | None

    @property
    def requirement(self) -> str:
        return f"{self.name}>={self.minimum}"

    @property
    def satisfied(self) -> bool:
        return self.installed is not None and _release(self.installed) >= _release(self.minimum)

    @property
    def slicers_own(self) -> bool:
        return self.name.lower() in SLICERS_OWN


@dataclass(frozen=True)
class Torch:
    """What a process that imported torch told. `problem` is "" when it works."""

    version: str | None = None
    cuda: str | None = None
    gpu: str | None = None
    problem: str = ""

    @property
    def works(self) -> bool:
        return self.version is not None and not self.problem

    @property
    def sentence(self) -> str:
        """For the person who chooses a device."""
        if not self.works:
            return f"PyTorch cannot be used: {self.problem}"
        if self.gpu:
            return f"PyTorch {self.version}, CUDA {self.cuda}, {self.gpu}"
        if self.cuda:
            return f"PyTorch {self.version} for CUDA {self.cuda} sees no usable GPU; it computes on the CPU"
        return f"PyTorch {self.version}, CPU only"


@dataclass(frozen=True)
class Report:
    """The state of all requirements. `action` is one of the constants above, or None when all is there."""

    packages: tuple[Package, ...]
    torch: Torch

    @property
    def missing(self) -> tuple[Package, ...]:
        return tuple(p for p in self.packages if not p.satisfied)

    @property
    def to_install(self) -> tuple[Package, ...]:
        """What pip has to bring; torch has an installer of its own."""
        return tuple(p for p in self.missing if not p.slicers_own and p.name != TORCH)

    @property
    def ready(self) -> bool:
        return self.action is None

    @property
    def action(self) -> str | None:
        if any(p.slicers_own for p in self.missing):
            return UPDATE_SLICER
        torch = next((p for p in self.packages if p.name == TORCH), None)
        if torch is not None and torch.installed is None:
            return INSTALL_TORCH
        if torch is not None and not (torch.satisfied and self.torch.works):
            return REPAIR_TORCH
        return INSTALL_PACKAGES if self.to_install else None

    @property
    def sentence(self) -> str:
        """One sentence on what is missing and what to do, or on what there is."""
        if self.action is None:
            return self.torch.sentence + "."
        if self.action == UPDATE_SLICER:
            own = ", ".join(f"{p.requirement} (has {p.installed})" for p in self.missing if p.slicers_own)
            return f"This Slicer is too old for T1Diff: it needs {own}; use Slicer 5.10 or newer."
        if self.action == INSTALL_TORCH:
            return "PyTorch is not installed; install it with the PyTorch extension."
        if self.action == REPAIR_TORCH:
            torch = next(p for p in self.packages if p.name == TORCH)
            what = self.torch.problem if torch.satisfied else f"version {torch.installed} is too old"
            return (
                f"PyTorch is installed but cannot be used ({what}); uninstall it in the module "
                "PyTorch Utils, restart Slicer and install it again."
            )
        names = ", ".join(p.requirement for p in self.to_install)
        return f"Python packages are missing: {names}; install them."


def requirements(pyproject: Path | None = None) -> list[tuple[str, str]]:
    """(name, lowest version) of every dependency in pyproject.toml; extras are not needed in Slicer."""
    with open(pyproject or paths.pyproject(), "rb") as file:
        listed = tomllib.load(file)["project"]["dependencies"]
    found = [re.fullmatch(r"\s*([A-Za-z0-9._-]+)\s*>=\s*([\d.]+)\s*", entry) for entry in listed]
    if None in found:
        raise ValueError(f"{listed[found.index(None)]!r} in pyproject.toml is not of the form name>=version.")
    return [(match[1], match[2]) for match in found]


def installed_packages(wanted=None) -> tuple[Package, ...]:
    """What is installed of the requirements, by package metadata alone: quick, nothing is imported."""
    return tuple(Package(n, v, _installed(n)) for n, v in (requirements() if wanted is None else wanted))


def probe_torch(executable: str | None = None, timeout: float = PROBE_SECONDS) -> Torch:
    """Import torch in a process of its own and compute a little with it."""
    command = [executable or paths.python_executable(), "-c", PROBE]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=timeout, env=paths.child_environment(),
            stdin=subprocess.DEVNULL, errors="replace",
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return Torch(problem=f"its import did not end within {timeout:.0f} s")
    except OSError as error:
        return Torch(problem=f"Slicer's Python cannot be started ({error.strerror})")
    return told(done.returncode, done.stdout, done.stderr)


def told(returncode: int, stdout: str, stderr: str) -> Torch:
    """What the probing process told, also when it crashed."""
    line = next((s for s in stdout.splitlines() if s.startswith("T1DIFF")), None)
    if returncode == 0 and line is not None:
        answer = json.loads(line.removeprefix("T1DIFF"))
        return Torch(answer["version"], answer["cuda"], answer["gpu"] if answer["usable"] else None)
    if returncode < 0:
        return Torch(problem=f"its import ends the process (signal {-returncode})")
    last = next((s.strip() for s in reversed(stderr.splitlines()) if s.strip()), "")
    return Torch(problem=last[:200] or f"its import ends with code {returncode}")


def examine(executable: str | None = None) -> Report:
    """The state of all requirements. Takes seconds, because torch is imported by another process."""
    importlib.invalidate_caches()  # pip may have been at work since
    packages = installed_packages()
    there = any(p.name == TORCH and p.installed for p in packages)
    return Report(packages, probe_torch(executable) if there else Torch(problem="it is not installed"))


def constraints(packages: tuple[Package, ...]) -> list[str]:
    """Lines of a pip constraints file that keep Slicer's own packages as they are."""
    return [f"{p.name}=={p.installed}" for p in packages if p.slicers_own and p.installed]


def _installed(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _release(version: str) -> tuple[int, ...]:
    """The leading numbers of a version; suffixes such as +cu128, rc1 or .post2 do not matter here."""
    numbers = re.match(r"\d+(?:\.\d+)*", version)
    parts = [int(n) for n in numbers[0].split(".")] if numbers else [0]
    return tuple((parts + [0, 0, 0])[:3])
