"""What brings data into the formats of `mask2former.datasets`; `tools/dataset_converters` calls it."""
