"""The one exception that reaches a user: a sentence naming the file or tag, and the remedy."""


class StudyError(ValueError):
    """Bad input, told in one clear sentence.

    The message names the file, folder or DICOM tag at fault and what to do about it, and never
    holds a patient identifier. The command line prints it without a traceback and exits with 1.
    """


class UsageError(StudyError):
    """An option that no study could make right; the command line exits with 2."""


class Cancelled(RuntimeError):
    """Raised out of a progress callback when the user asked to stop; nothing half-written stays."""
