# For a training that validates nothing, as where only a test server has the annotations.
_base_ = 'default_runtime.py'
val_cfg = None
