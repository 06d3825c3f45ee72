"""Converts annotations of custom data sets to COCO's panoptic and instance formats."""
