"""Converts the releases of official data sets to the formats of `mask2former.datasets`."""
