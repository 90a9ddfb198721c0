"""What can be wrong with a folder: names, links, pipes, copies and other patients' images among one's own."""

from __future__ import annotations

import os
import random
from pathlib import Path

from base_studies import FIRST, PEOPLE, SECOND
from byte_mutations import MUTATIONS, PATIENT, survivable
from elements import drop, put

Files = dict[str, bytes]
"""File name -> content. A name may hold '/'; names that are no text are written as os.fsdecode gives them."""

STUDY_UID, SERIES_UID, SOP_UID, DESCRIPTION = 0x0020000D, 0x0020000E, 0x00080018, 0x0008103E


def spoil_files(rng: random.Random, files: Files, _) -> Files:
    """One to three kinds of damage in one file, some or all."""
    names = list(files)
    chosen = rng.sample(names, rng.choice((1, 1, max(1, len(names) // 3), len(names))))
    mutations = rng.choices(MUTATIONS, k=rng.choice((1, 1, 1, 2, 3)))
    seed = rng.random()
    for name in chosen:
        # the same damage in each of several files is what a careless exporter makes of a study
        own = random.Random(seed) if rng.random() < 0.5 else rng
        for mutation in mutations:
            files[name] = mutated(mutation, own, files[name])
    return files


def mutated(mutation, rng, data: bytes) -> bytes:
    """`data` mutated, or as it is where earlier damage left nothing that this mutation could work on."""
    try:
        return mutation(rng, data) if survivable(data) else data
    except (IndexError, ValueError, StopIteration):
        return data


def mixed_patients(rng, files: Files, bases) -> Files:
    """Images of another person among these, each short of some of what tells them apart, never of all."""
    dialect = rng.choice(("siemens", "philips", "ge", "enhanced"))
    other = bases[dialect, "cine", SECOND]
    names = rng.sample(list(other), rng.choice((1, len(other))))
    stranger = {f"z{name}": other[name] for name in names}
    first = rng.choice((True, False))
    kept = rng.choice((0x00100020, STUDY_UID, 0x00100010))
    for own in (files, stranger):
        lost = [t for t in (0x00100020, STUDY_UID, 0x00100010, 0x00100030) if t != kept]
        lost = rng.sample(lost, rng.randrange(len(lost) + 1))
        for name in own:
            for tag in lost:
                own[name] = drop(own[name], tag)
    return {**stranger, **files} if first else {**files, **stranger}


def copied_uids(rng, files: Files, _) -> Files:
    """One SOPInstanceUID on several images, or one series on all."""
    tag = rng.choice((SOP_UID, SOP_UID, SERIES_UID))
    value = rng.choice((b"1.2.3", b"", b"../../x"))
    for name in rng.sample(list(files), rng.randrange(1, len(files) + 1)):
        files[name] = put(files[name], tag, b"UI", value)
    return files


def telling_names(rng, files: Files, _) -> Files:
    """The patient's name in file and series names, some headers having lost it."""
    person = PEOPLE[FIRST]
    told = rng.choice((person.name.replace("^", "_"), person.number, f"{person.birth}-{person.name[:7]}"))
    renamed = {}
    for name, data in files.items():
        if rng.random() < 0.5:
            data = put(data, DESCRIPTION, b"LO", f"cine_SAX {told}".encode())
        if rng.random() < 0.3:
            for tag in rng.sample(PATIENT, rng.randrange(1, 5)):
                data = drop(data, tag)
        if rng.random() < 0.3:
            data = mutated(rng.choice(MUTATIONS), rng, data)
        renamed[f"{told}/{name}_{told}" if rng.random() < 0.7 else name] = data
    # at least one file must know whom it is about
    keeper = next(iter(renamed))
    renamed[keeper] = files[next(iter(files))]
    return renamed


def strange_names(rng, files: Files, _) -> Files:
    tricks = (
        "a\nb", "x" * 250, "..dcm", "-rf", "%s{0}", "ünï\u202e", "$(touch x)", "a\\b", " ", ".hidden",
        "DICOMDIR", "CON", "a;b", "=1+1", os.fsdecode(b"\xff\xfe"), "d.dcm/inner", "/".join("deep" * 12),
        "x.nii", "y.cine.npz",
    )  # fmt: skip
    return {f"{rng.choice(tricks)}{'' if k == 0 else k}": data for k, data in enumerate(files.values())}


KINDS = {
    "damaged files": (spoil_files, 80),
    "mixed patients": (mixed_patients, 6),
    "copied UIDs": (copied_uids, 3),
    "telling names": (telling_names, 6),
    "strange names": (strange_names, 3),
}


def lay_out(rng, files: Files, folder: Path) -> list[str]:
    """Writes the files, now and then among links, pipes and folders that lead astray; what was added."""
    folder.mkdir()
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_dir():
            path.write_bytes(data)
    # the large one is slow to lay out and to walk through
    added = [trap for trap in TRAPS if rng.random() < (0.001 if TRAPS[trap] is _large else 0.02)]
    for trap in added:
        TRAPS[trap](folder)
    return added


def _large(folder: Path) -> None:
    """A DICOM file whose one element is 6 GB, of which the disk holds nothing."""
    from elements import element

    with (folder / "large.dcm").open("wb") as file:
        head = b"\0" * 128 + b"DICM" + element(0x00020010, b"UI", b"1.2.840.10008.1.2.1")
        file.write(head + element(0x00080016, b"UI", b"1.2.840.10008.5.1.4.1.1.4"))
        file.write(element(0x00091010, b"OB", b"", 3 * 2**30))
        file.truncate(6 * 2**30)


TRAPS = {
    "link to itself": lambda folder: os.symlink("loop", folder / "loop"),
    "links in a circle": lambda folder: (os.symlink("b", folder / "a"), os.symlink("a", folder / "b")),
    "link to its own folder": lambda folder: os.symlink(".", folder / "again"),
    "link to nothing": lambda folder: os.symlink("/nowhere/at/all", folder / "nothing.dcm"),
    "link to a device": lambda folder: os.symlink("/dev/zero", folder / "zero.dcm"),
    "link out": lambda folder: os.symlink("/etc", folder / "etc"),
    "pipe": lambda folder: os.mkfifo(folder / "pipe.dcm"),
    "folder named as a file": lambda folder: (folder / "folder.dcm").mkdir(),
    "empty file": lambda folder: (folder / "empty.dcm").write_bytes(b""),
    "gigabytes of nothing": _large,
}
