default_scope = 'mask2former'
custom_imports = dict(imports=['mask2former'], allow_failed_imports=False)
runner_type = 'SegRunner'

default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50, log_metric_by_epoch=False),  # a validation is that of an iteration
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='SegCheckpointHook', by_epoch=False, interval=5000, max_keep_ckpts=3, save_last=True),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    visualization=dict(type='SegVisualizationHook'),
    # What the terminal shows; None: the whole log, which is in the log file in any case.
    terminal=dict(type='TerminalHook'),
    # Says what the config caps before it trains or tests; None says nothing.
    limits=dict(type='LimitsHook'),
    # Says where a loss, a gradient or a weight is not finite, and keeps the batch in work_dir/failures.
    nonfinite=dict(type='NonFiniteHook'))

env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
    # A training process keeps the memory that it frees (glibc's malloc): faster on CPUs for 5 % more memory.
    keep_freed_memory=True)
vis_backends = [dict(type='LocalVisBackend'), dict(type='TensorboardIfInstalled')]
visualizer = dict(type='SegLocalVisualizer', vis_backends=vis_backends, name='visualizer')
log_processor = dict(type='LogProcessor', window_size=50, by_epoch=False)
log_level = 'INFO'
load_from = None
resume = False

val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
