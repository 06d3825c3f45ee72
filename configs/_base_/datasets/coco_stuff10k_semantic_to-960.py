# COCO-Stuff-10k, trained on images of 0.5 to 1.5 times 640 pixels, as MaskFormer was.
_base_ = ['coco_stuff10k_semantic.py', '../augmentations/crop_640_to-960.py']
train_dataloader = dict(
    dataset=dict(pipeline=[*_base_.train_load, *_base_.crop_640_to_960, *_base_.train_pack]))
