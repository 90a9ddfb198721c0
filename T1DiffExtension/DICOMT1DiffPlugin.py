"""DICOM browser: short-axis cine stacks and native T1 maps, each loaded as what it is."""

import slicer
from DICOMLib import DICOMLoadable, DICOMPlugin
from slicer.i18n import tr as _

MR_IMAGES = (
    "1.2.840.10008.5.1.4.1.1.4",  # MR Image Storage
    "1.2.840.10008.5.1.4.1.1.4.1",  # Enhanced MR Image Storage
    "1.2.840.10008.5.1.4.1.1.4.4",  # Legacy Converted Enhanced MR Image Storage
)
SURE, UNSURE = 1.1, 0.6
"""Image Sequence says up to 1.05 of a cine, MultiVolume 1.0, Scalar Volume 0.5."""


class DICOMT1DiffPluginClass(DICOMPlugin):
    """Groups cine by position and trigger time over all series that are examined together."""

    def __init__(self):
        super().__init__()
        self.loadType = _("Cardiac cine and T1 (T1Diff)")
        self.tags["sopClassUID"] = "0008,0016"

    def examineForImport(self, fileLists):
        """Loadables of all `fileLists` together, because a stack may be one series per slice."""
        files = [path for group in fileLists if group and self._is_mr(group) for path in group]
        loadables = self.getCachedLoadables(files)
        if loadables is None:
            from T1DiffLib.dicom_loading import Choice

            from T1DiffLogic.dicom.offers import offers_in

            loadables = [one for offer in offers_in(files) for one in self._loadables(Choice(offer))]
            self.cacheLoadables(files, loadables)
        return loadables

    def load(self, loadable):
        """Load what `loadable` offers; the node that Slicer is told of is a volume, or None."""
        return loadable.choice.load(self, loadable)

    def _is_mr(self, files):
        return slicer.dicomDatabase.fileValue(files[0], self.tags["sopClassUID"]) in MR_IMAGES

    @staticmethod
    def _loadables(choice):
        """One per series, so that no other reader's loadable of that series is preselected beside it."""
        for index, files in enumerate(choice.offer.parts):
            loadable = DICOMLoadable()
            loadable.choice = choice
            loadable.files = [str(path) for path in files]
            loadable.name = choice.name if index == 0 else _("{name} (same stack)").format(name=choice.name)
            loadable.tooltip = choice.tooltip
            loadable.warning = choice.warning
            loadable.selected = choice.offer.confirmed
            loadable.confidence = SURE if choice.offer.confirmed else UNSURE
            yield loadable


class DICOMT1DiffPlugin:
    """The hook by which Slicer's DICOM module finds the plugin."""

    def __init__(self, parent):
        parent.title = "DICOM T1Diff Plugin"
        parent.categories = ["Developer Tools.DICOM Plugins"]
        parent.contributors = ["The T1Diff contributors"]
        parent.helpText = "Offers short-axis cine and native T1 maps in the DICOM module."
        parent.acknowledgementText = ""
        parent.hidden = True  # it has no panel of its own
        if not hasattr(slicer.modules, "dicomPlugins"):
            slicer.modules.dicomPlugins = {}  # this module may be found before DICOM itself
        slicer.modules.dicomPlugins["DICOMT1DiffPlugin"] = DICOMT1DiffPluginClass
