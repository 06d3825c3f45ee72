# Mask2Former with a DINOv2-B (arXiv 2304.07193), a plain ViT with patches of 14, under a simple feature pyramid.
_base_ = 'mask2former_r50.py'
model = dict(
    backbone=dict(
        _delete_=True,
        type='SimpleFeaturePyramid',
        backbone=dict(
            type='HFBackbone',
            name='facebook/dinov2-base',
            config=dict(
                model_type='dinov2',
                hidden_size=768,
                num_hidden_layers=12,
                num_attention_heads=12,
                image_size=518,
                patch_size=14),
            drop_path_rate=0.1)))
