# Mask2Former with a ConvNeXt-T (arXiv 2201.03545) of ImageNet-1k. The sizes are given, so that nothing is fetched to
# build it: only its weights are, before training.
_base_ = 'mask2former_r50.py'
model = dict(
    backbone=dict(
        _delete_=True,
        type='HFBackbone',
        name='facebook/convnext-tiny-224',
        config=dict(model_type='convnext', depths=(3, 3, 9, 3), hidden_sizes=(96, 192, 384, 768)),
        drop_path_rate=0.3))
