"""The digital heart: a physics-based patient with cine, native T1 maps and real DICOM."""

DIALECTS = ("siemens", "philips", "ge", "enhanced")
"""Ways of writing DICOM that the digital patients speak."""
