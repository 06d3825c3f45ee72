"""Measuring the project: beside other implementations, part by part, and on a GPU. Not part of the package."""

import mask2former  # noqa: F401  (before anything that imports torch or mmdet)
