"""report.html in a real browser: two printed pages, no script error, nothing fetched, every picture drawn."""

from __future__ import annotations

import dataclasses
import re
import shutil
import subprocess

import numpy as np
import pytest

from T1DiffLogic import outputs
from T1DiffLogic.report.identity import Identity
from T1DiffLogic.report.page import build_page
from T1DiffLogic.study import RESEARCH_NOTICE

CHROMIUM = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine to open the report in")
WHO = Identity("Müller-Lüdenscheidt, Katharina Elisabeth", "PAT-0815-4711", "1951-02-03", "2032-01-14")
LONG = "a remark as long as the sentences on series that were set aside are, with the tag (0028,0002) in it"


def browse(page, folder, *options):
    """Standard output of Chromium on `page`, which must not have complained of it."""
    path = folder / "report.html"
    path.write_text(page, encoding="utf-8")
    command = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        f"--user-data-dir={folder / 'profile'}", "--enable-logging=stderr", "--v=0", *options, path.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "CONSOLE" not in done.stderr, "the page made the browser complain"
    return done.stdout


def pages_of(page, folder):
    """The text of each printed page."""
    reader = shutil.which("pdftotext")
    if reader is None:
        pytest.skip("no pdftotext on this machine to read the printed pages with")
    browse(page, folder, "--no-pdf-header-footer", f"--print-to-pdf={folder / 'report.pdf'}")
    done = subprocess.run(
        [reader, "-layout", str(folder / "report.pdf"), "-"], capture_output=True, text=True, check=True
    )
    return done.stdout.split("\f")[:-1]


def crowded(synthesis):
    """A study that has something to say about everything."""
    result = outputs.study_result(synthesis)
    result["notes"] += [f"{LONG}, number {i}" for i in range(40)]
    result["slices"] = [
        {**s, "flags": [*s["flags"], *(f"{LONG}, {i} of slice {s['index']}" for i in range(4))]}
        for s in result["slices"]
    ]
    result["provenance"]["ignored"] = [f"{LONG}, set aside {i}" for i in range(20)]
    result["provenance"]["versions"] = {f"package{i}": "1.23.4" for i in range(12)}
    for row, z in zip(result["segments"], result["reference"]["z"]["segments"], strict=True):
        row["thickening_percent"], z["z"], z["z_uncertainty"] = -12.0, -12.3, 1.4
    return result


def stacked(synthesis, times):
    """The study with every slice `times` over, as thin slices would be."""

    def repeat(array, axis=0):
        return None if array is None else np.repeat(array, times, axis=axis)

    cine, masks, s = synthesis.cine, synthesis.segmentation, synthesis
    order = np.repeat(np.arange(cine.n_slices), times)
    return dataclasses.replace(
        s,
        cine=dataclasses.replace(
            cine,
            images=repeat(cine.images),
            geometries=tuple(cine.geometries[i] for i in order),
            trigger_ms=repeat(cine.trigger_ms),
        ),
        segmentation=dataclasses.replace(
            masks, ed=repeat(masks.ed), es=repeat(masks.es), rv_insertions=repeat(masks.rv_insertions)
        ),
        slices=tuple(dataclasses.replace(s.slices[i], index=k) for k, i in enumerate(order)),
        t1_ms=repeat(s.t1_ms),
        sd_ms=repeat(s.sd_ms),
        valid=repeat(s.valid),
        samples_ms=repeat(s.samples_ms, 1),
        aha=repeat(s.aha),
        native_ms=repeat(s.native_ms),
        native_aha=repeat(s.native_aha),
    )


@pytest.mark.parametrize("case", ["native", "no native", "crowded", "many slices"])
def test_it_prints_on_two_pages_with_the_notice_on_each(case, synthesis, synthesis_without_native, tmp_path):
    study = synthesis_without_native if case == "no native" else synthesis
    study = stacked(study, 2) if case == "many slices" else study
    result = crowded(study) if case == "crowded" else outputs.study_result(study)
    pages = pages_of(build_page(result, study, WHO), tmp_path)
    assert len(pages) == 2
    for number, page in enumerate(pages, start=1):
        assert RESEARCH_NOTICE in page and f"page {number} of 2" in page
        assert WHO.name in page and WHO.patient_id in page
    for row in result["segments"]:
        assert row["name"] in pages[0]
    assert "What this cannot tell" in pages[1] and "weights sha256" in pages[1]
    if case == "crowded":
        assert re.search(r"\d+ more in report\.html", pages[1]), "what is not printed is said"


def test_the_browser_draws_every_picture_and_asks_for_nothing_else(synthesis, tmp_path):
    page = build_page(outputs.study_result(synthesis), synthesis)
    assert len(page) < 4e6
    found = browse(page, tmp_path, "--dump-dom", "--host-resolver-rules=MAP * ~NOTFOUND")
    assert found.count("<image") == page.count("<image") > 40
    # a parser that had to mend the page would have closed or moved elements
    plain = re.findall(r"<(/?[a-z0-9]+)[\s>/]", page.split("<body>")[1])
    assert plain.count("svg") == plain.count("/svg") == found.split("<body>")[1].count("<svg")
    assert not re.search(r"""(?:src|href)=["'](?!data:image/png|#)""", found)
    used = set(re.findall(r"""(?<![a-z])(?:href=["']|url\()#([^"')]+)""", found))
    assert used <= set(re.findall(r"""\sid=["']([^"']+)""", found)), "a reference to nothing on the page"
