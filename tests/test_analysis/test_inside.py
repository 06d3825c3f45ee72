"""What is shown of the inside of a model is what the model computed."""

import json
import re

import cv2
import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from PIL import Image

from mask2former.analysis.encoder_samples import record_encoder
from mask2former.analysis.inside import Inside, look_inside
from mask2former.analysis.inside_page import inside_page
from mask2former.apis import SegInferencer
from mask2former.errors import ConfigError
from mask2former.models.pixel_decoder import encoder
from mask2former.models.pixel_decoder.encoder import MSDeformAttn
from mask2former.ops.ms_deform_attn.reference import ms_deform_attn_grid_sample
from tests.forked import run_forked
from tests.tiny import ROOT


@pytest.fixture(scope='module')
def run(tiny_run):
    return tiny_run


@pytest.fixture(scope='module')
def inferencer(run):
    return SegInferencer(run.config, run.checkpoint, device='cpu')


@pytest.fixture(scope='module')
def image(run):
    return run.images / '000000.jpg'


@pytest.fixture(scope='module')
def inside(inferencer, image) -> Inside:
    return look_inside(inferencer, image, queries=[7, 2])


def head_output(inferencer, image):
    data = inferencer.model.data_preprocessor(pseudo_collate([inferencer.prepare(image)]), False)
    with torch.no_grad():
        return data['inputs'], inferencer.model.extract(data['inputs'])


def test_masks_and_classes_are_the_head_s(inside, inferencer, image):
    inputs, output = head_output(inferencer, image)
    names = [*inferencer.dataset_meta['classes'], 'no object']
    assert [query.view.query for query in inside.queries] == [7, 2]
    for query in inside.queries:
        view = query.view
        masks = torch.stack([output.mask_logits(d)[0, view.query].sigmoid() for d in range(2)])
        torch.testing.assert_close(view.masks, masks)
        for d, found in enumerate(view.classes):
            scores = output.class_logits[d, 0, view.query].softmax(0)
            assert found == [(names[i], pytest.approx(float(scores[i]))) for i in scores.argsort(descending=True)[:3]]
        [layer] = view.layers
        assert torch.equal(view.before(0), view.masks[0])  # as there is an output before the first layer
        assert layer.heads.shape == (2, *layer.sizes[0]) and layer.sizes == [
            (inputs.shape[2] // 32, inputs.shape[3] // 32)
        ]
        torch.testing.assert_close(layer.heads.sum((1, 2)), torch.ones(2))
        if layer.allowed is not None and not layer.allowed.all():
            assert not layer.heads[:, ~layer.allowed].any()


def test_photo_is_the_input(inside, image):
    photo = np.asarray(Image.open(image).convert('RGB'))
    h, w = inside.shape
    resized = cv2.resize(photo, (w, h), interpolation=cv2.INTER_AREA)
    assert np.array_equal(inside.photo[:h, :w], resized) and (inside.photo[h:] == 128).all()


def test_surest_queries_win_pixels(inferencer, image):
    found = [query.view.query for query in look_inside(inferencer, image, most=100).queries]
    _, output = head_output(inferencer, image)
    scores, labels = output.class_logits[-1, 0].softmax(-1).max(-1)
    masks = output.mask_logits()[0].sigmoid()
    count = len(inferencer.dataset_meta['classes'])
    sure = {q: s for q, (s, label) in enumerate(zip(scores.tolist(), labels.tolist())) if label < count}
    winners = set()
    for y in range(masks.shape[1]):
        for x in range(masks.shape[2]):
            best = max(sure, key=lambda q: sure[q] * float(masks[q, y, x]))
            if masks[best, y, x] >= 0.5:
                winners.add(best)
    assert winners and found == sorted(winners, key=sure.__getitem__, reverse=True)
    assert [q.view.query for q in look_inside(inferencer, image, most=1).queries] == found[:1]


def test_samples_are_those_of_deformable_attention(monkeypatch):
    torch.manual_seed(0)
    shapes = [(2, 3), (4, 6)]
    module = MSDeformAttn(16, 4, 2, 3).double()
    torch.nn.init.normal_(module.sampling_offsets.weight)
    torch.nn.init.normal_(module.attention_weights.weight)
    query, value = (torch.randn(2, 30, 16).double() for _ in range(2))
    points = torch.rand(30, 2).double()
    seen = {}

    def watched(value, level_shapes, locations, weights, backend):
        seen.update(locations=locations, weights=weights)
        return ms_deform_attn_grid_sample(value, level_shapes, locations, weights)

    monkeypatch.setattr(encoder, 'ms_deform_attn', watched)
    with record_encoder(module) as layers, torch.no_grad():
        module(query, value, points, shapes)
    assert not module._forward_pre_hooks
    # The pixel at (0.55, 0.8): of the coarse level row 1, column 1, of the fine one row 3, column 3.
    for level, token in ((0, 1 * 3 + 1), (1, 6 + 3 * 6 + 3)):
        samples = layers[0].samples(1, level, 0.55, 0.8)
        torch.testing.assert_close(samples.locations, seen['locations'][1, token])
        torch.testing.assert_close(samples.weights, seen['weights'][1, token])
    assert layers[0].samples(0, 1, 1.0, 1.0).weights.shape == (4, 2, 3)  # the lower right corner is a pixel, too


def test_page_has_all_and_asks_nobody(inside):
    page = inside_page(inside, '<b>name</b>')
    assert '<b>name' not in page and not re.search(r'(src|href)="?https?:', page)
    queries = json.loads(re.search(r'const queries = (.*), colors = ', page)[1])
    assert [query['number'] for query in queries] == [7, 2]
    for query, shown in zip(inside.queries, queries):
        assert len(shown['masks']) == 2 and len(shown['layers'][0]['looked']) == 3
        assert shown['layers'][0]['inside'] == round(query.view.layers[0].inside, 4)
        assert len(shown['samples']) == 3 and all(shown['samples'][2][0])


def test_pixel_of_the_original(inferencer, image):
    width, height = Image.open(image).size
    inside = look_inside(inferencer, image, [0], pixel=(width - 1, 0))
    (h, w), (padded_h, padded_w) = inside.shape, inside.photo.shape[:2]
    x, y = (width - 0.5) / width * w, 0.5 / height * h
    assert inside.queries[0].pixel == pytest.approx((x / padded_w, y / padded_h))
    for wrong in ((width, 0), (0, height), (-1, 0)):
        with pytest.raises(ConfigError, match=f'it is {width} x {height}'):
            look_inside(inferencer, image, [0], pixel=wrong)


def test_no_such_query(inferencer, image):
    with pytest.raises(ConfigError, match='no query 10: the model has 0 to 9'):
        look_inside(inferencer, image, [1, 10])


def test_tool(run, image, tmp_path):
    tool = ROOT / 'tools/analysis_tools/explore_attention.py'
    done = run_forked(tool, image, run.config, run.checkpoint, '--query', '3', '--out-dir', 'a/b', cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    names = {path.name: path.stat().st_size for path in (tmp_path / 'a/b').iterdir()}
    kinds = ('heads', 'layers', 'samples')
    assert set(names) == {'000000.html', *(f'000000_query3_{kind}.png' for kind in kinds)} and all(names.values())
