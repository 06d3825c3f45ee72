"""One training step and one prediction, every tensor's shape printed: `python docs/one_step.py` in the repository."""

import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.structures import InstanceData

from mask2former.registry import MODELS

cfg = Config.fromfile('configs/_base_/models/mask2former_r50.py').model
cfg.backbone.init_cfg = None  # random weights: nothing is downloaded
model = MODELS.build(dict(cfg, metainfo=dict(classes=('sky', 'cat', 'dog'), isthing=(False, True, True))))  # K = 3
image = torch.randint(256, (3, 120, 160), dtype=torch.uint8)  # (3, H, W), BGR
sample = DetDataSample(metainfo=dict(img_shape=(120, 160), ori_shape=(120, 160)))  # H is padded to 128
left = torch.arange(160).expand(120, 160) < 80  # the sky is on the left, a cat on the right
sample.gt_segments = InstanceData(labels=torch.tensor([0, 1]), masks=torch.stack([left, ~left]))  # (N,), (N, H, W)
inputs, [sample] = model.data_preprocessor(dict(inputs=[image], data_samples=[sample]), training=True).values()
print('B images of H x W, N segments, Q queries, K classes, C channels, D predictions (at first, and after 9 layers)')
print('inputs (B, 3, H, W):', *inputs.shape, '| target masks (N, H, W):', *sample.gt_segments.masks.shape)
mask_features, memory = model.pixel_decoder(features := model.backbone(inputs))  # strides s = 4, 8, 16, 32; h = H/4
output = model.head(mask_features, memory)  # predictions of the learnt queries, and after each of the nine layers
dims = ['B, C, H/s, W/s', 'B, C, H/s, W/s', 'D, B, Q, K+1', 'D, B, Q, C', 'B, C, h, w']
for (name, x), letters in zip(dict(features=features, memory=memory, **output._asdict()).items(), dims):
    print(f'{name} ({letters}):', *(tuple(y.shape) for y in ([x] if torch.is_tensor(x) else x)))
losses = model.criterion(output, [sample.gt_segments])  # matches, samples points; loss_aux: earlier predictions'
sum(losses.values()).backward()
torch.optim.AdamW(model.parameters(), lr=1e-4).step()
print('losses', {name: round(loss.item(), 2) for name, loss in losses.items()})
[result] = model.eval().predict(inputs, [sample])
print('panoptic map (1, H, W):', *result.pred_panoptic_seg.id_map.shape, '| instances', len(result.pred_instances))
