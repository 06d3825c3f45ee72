# python tools/train.py configs/nuclei/mask2former_efficientnet-lite0_nuclei-panoptic.py
# Expected: PQ 63.3 (nuclei 29.4, background 97.1), mask AP 14.2 (one run).
_base_ = [
    '../_base_/models/mask2former_efficientnet-lite0.py',
    '../_base_/datasets/nuclei_panoptic.py',
    '../_base_/schedules/adamw_warmup-cosine.py',
    '../_base_/default_runtime.py',
]
model = dict(
    head=dict(num_queries=200),
    criterion=dict(num_points=2048, matcher=dict(num_points=4096)),
    postprocessors=dict(instance=dict(max_per_image=400)))
train_cfg = dict(max_iters=1500, val_interval=1500)
default_hooks = dict(checkpoint=dict(interval=500))
