# 16 images for training and, the same, for testing: can the model learn what it sees?
_base_ = '../tasks/panoptic.py'
dataset_type = 'CocoPanoptic'
data_root = 'data/coco_panoptic_200/'

resize = dict(type='Resize', scale=(448, 448), keep_ratio=True)
train_pipeline = [*_base_.train_load, resize, *_base_.train_pack]
test_pipeline = [*_base_.test_load, resize, *_base_.test_pack]

dataset = dict(
    type=dataset_type,
    data_root=data_root,
    ann_file='annotations/panoptic_train2017.json',
    data_prefix=dict(img='train2017/', seg='annotations/panoptic_train2017/'),
    indices=16)
train_dataloader = dict(batch_size=4, num_workers=1, dataset=dict(**dataset, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(**dataset, pipeline=test_pipeline))
test_dataloader = val_dataloader
