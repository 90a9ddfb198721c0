"""In Slicer: run_batch.py ends with the exit codes of `t1diff batch`, in a Slicer of its own each time."""

import subprocess
import tempfile
import unittest
from pathlib import Path

import slicer

MINUTES = 5


class T1DiffHeadlessTest(unittest.TestCase):
    def batch(self, *arguments):
        from T1DiffLib import paths

        launcher = slicer.app.launcherExecutableFilePath
        command = [launcher, "--no-main-window", "--no-splash", "--ignore-slicerrc"]
        command += ["--additional-module-paths", str(paths.MODULE_FOLDER), "--python-script"]
        command += [str(paths.MODULE_FOLDER / "T1DiffLib" / "run_batch.py"), "--", *arguments]
        # it must end by itself: a timeout fails the test
        return subprocess.run(
            command, env=slicer.util.startupEnvironment(), timeout=60 * MINUTES, stdin=subprocess.DEVNULL
        ).returncode

    def test_help_is_a_success(self):
        self.assertEqual(self.batch("--help"), 0)

    def test_a_cohort_that_is_not_there_fails(self):
        with tempfile.TemporaryDirectory() as folder:
            self.assertEqual(self.batch(str(Path(folder) / "nothing"), "-o", folder), 1)

    def test_wrong_usage(self):
        from T1DiffLib import dependencies, run_batch

        if run_batch.what_is_missing(dependencies.installed_packages()):
            self.skipTest("Slicer's Python lacks packages, which is told first")
        self.assertEqual(self.batch("--no-such-option"), 2)
