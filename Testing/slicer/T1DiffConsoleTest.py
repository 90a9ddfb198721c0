"""In Slicer, with and without a window: the console API and the parts that the module needs."""

import unittest

import slicer


class T1DiffConsoleTest(unittest.TestCase):
    def setUp(self):
        slicer.mrmlScene.Clear()
        self.logic = slicer.util.getModuleLogic("T1Diff")
        self.logic.clear()

    def test_the_package_is_importable_and_is_not_hidden_by_a_class(self):
        import T1DiffLogic

        self.assertTrue(callable(T1DiffLogic.load_cine))
        self.assertFalse(hasattr(__import__("T1Diff"), "T1DiffLogic"))

    def test_everything_is_installed(self):
        from T1DiffLib import self_test

        self_test.check_installation(self)

    def test_a_cine_goes_into_the_scene(self):
        from T1DiffLib import self_test

        self_test.cine_only(self)

    def test_order_of_calls_is_told_in_a_sentence(self):
        from T1DiffLogic import StudyError

        for call in (self.logic.segment, self.logic.synthesize, self.logic.addCineToScene):
            with self.assertRaisesRegex(StudyError, "loadCine"):
                call()
        with self.assertRaisesRegex(StudyError, "synthesize"):
            self.logic.statistics()

    def test_starting_imports_nothing_heavy(self):
        """In a Slicer of its own, because other tests of this one have imported torch by now."""
        import subprocess
        import sys

        from T1DiffLib import paths

        code = (
            "import T1DiffLib, T1DiffLogic, sys; sys.exit('torch' in sys.modules or 'scipy' in sys.modules)"
        )
        done = subprocess.run(
            [
                paths.python_executable(),
                "-c",
                f"import sys; sys.path.append({str(paths.MODULE_FOLDER)!r}); {code}",
            ],
            env=paths.child_environment(),
        )
        self.assertEqual(done.returncode, 0, sys.executable)

    def test_one_study_line_by_line(self):
        from T1DiffLib import dependencies, self_test

        report = dependencies.examine()
        if not report.ready:
            self.skipTest(report.sentence)
        self_test.console(self)

    def test_nothing_is_installed_without_a_window(self):
        from T1DiffLib import installing
        from T1DiffLib.dependencies import Package, Report, Torch

        lacking = Report((Package("torch", "2.3", None),), Torch(problem="it is not installed"))
        if slicer.util.mainWindow() is None or slicer.app.testingEnabled():
            with self.assertRaisesRegex(installing.CannotInstall, "without a window"):
                installing.mend(lacking)
