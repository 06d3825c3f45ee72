# A small MaskFormer for CPUs and small data, with the sizes of the small Mask2Former, without dropout.
_base_ = ['mask2former_efficientnet-lite0.py', 'maskformer_parts.py']
model = dict(
    pixel_decoder={**_base_.pixel_decoder, 'embed_dims': 128, 'mask_dims': 128},
    head={**_base_.head, 'num_layers': 3, 'dropout': 0.0},
    criterion=_base_.criterion,
    postprocessors=_base_.postprocessors)
