"""What every step of the panel has in common."""

from __future__ import annotations


class StepPanel:
    """One step: `section` folds it, `purpose` says what it is for. Nothing happens unless overridden."""

    section_name = ""

    def __init__(self, panel):
        self.panel, self.ui = panel, panel.ui
        self.section = getattr(panel.ui, self.section_name)
        self.purpose = self.section.toolTip

    @property
    def session(self):
        return self.panel.session

    def enable(self, usable: bool, *names: str) -> None:
        """Enables or disables controls by name."""
        for name in names:
            getattr(self.ui, name).enabled = usable

    def open(self) -> None:
        """A session begins."""

    def close(self) -> None:
        """A session ends; its nodes may be gone already."""

    def enter(self) -> None:
        """The module is shown."""

    def exit(self) -> None:
        """Another module is shown."""

    def refresh(self, step, facts) -> None:
        """Bring the controls in line with workflow.Step `step` and workflow.Facts `facts`."""
