"""8-bit files compute nearly what the model computes, where they are told to."""

import numpy as np
import pytest

from mask2former.deployment import export
from mask2former.deployment.calibration import calibration_images
from mask2former.deployment.export import OUTPUTS
from mask2former.deployment.graph import example
from mask2former.deployment.int8 import OPERATORS, Calibration, module_of, to_int8
from mask2former.deployment.runners import FORMATS, open_file, read_metadata
from mask2former.errors import ConfigError

ort = pytest.importorskip('onnxruntime', reason='it quantises and runs the files')
onnx = pytest.importorskip('onnx', reason='the files are ONNX')

SIZE = (64, 96)


@pytest.fixture(scope='module')
def model(tiny_predictor):
    return tiny_predictor.inferencer.model


@pytest.fixture(scope='module')
def proto(model):
    return export.translate(export.trace(model, SIZE))


def run(proto, image):
    session = ort.InferenceSession(proto.SerializeToString(), providers=['CPUExecutionProvider'])
    return session.run(list(OUTPUTS), dict(image=image))


def difference(found, expected):
    return max(np.abs(a - b).max() / np.abs(b).max() for a, b in zip(found, expected))


def quantised_modules(proto, original):
    """The modules of the nodes whose weights are 8-bit numbers."""
    modules = {node.name: module_of(node) for node in original.graph.node}
    dequantised = {node.output[0] for node in proto.graph.node if node.op_type == 'DequantizeLinear'}
    quantised = [node for node in proto.graph.node if node.op_type in OPERATORS and {*node.input[:2]} <= dequantised]
    return {modules[node.name.split('/')[0]] for node in quantised}


def test_training_images_are_prepared_as_those_of_a_test(model):
    images = list(calibration_images(model, SIZE, count=5))
    assert len(images) == 2  # the set has no more
    assert all(image.shape == (1, 3, *SIZE) and image.dtype == np.float32 for image in images)
    assert all(np.abs(image - image.round()).max() < 1e-3 and 0 <= image.min() < image.max() < 256 for image in images)


def test_layers_compute_in_8_bits(proto):
    image = example(SIZE, 1).numpy()
    small = to_int8(proto, Calibration([image]))
    assert len(small.SerializeToString()) < 0.5 * len(proto.SerializeToString())
    assert difference(run(small, image), run(proto, image)) > 0
    modules = quantised_modules(small, proto)
    assert 'head.class_embed' in modules
    assert any(name.startswith('backbone') for name in modules)


def test_what_is_kept_stays_in_float32(proto):
    image = example(SIZE, 1).numpy()
    modules = quantised_modules(to_int8(proto, Calibration([image], ['head', 'pixel_decoder'])), proto)
    assert modules and all(name.startswith('backbone') for name in modules)


@pytest.mark.parametrize('format', ['onnx', 'openvino'])
def test_files_in_8_bits(format, model, tmp_path):
    if format == 'openvino':
        pytest.importorskip('openvino', reason='OpenVINO is optional')
    path = tmp_path / f'model{FORMATS[format]}'
    calibration = Calibration(list(calibration_images(model, SIZE)))
    assert (
        export.export(model, path, format, SIZE, 'int8', calibration) > 0
    )  # which refuses what computes something else
    assert read_metadata(path)['precision'] == 'int8'
    for found in open_file(path)(np.concatenate(calibration.images * 2)):
        assert len(found) == 4


def test_what_cannot_be(model, tmp_path):
    path = tmp_path / 'model.onnx'
    with pytest.raises(ConfigError, match='int8 needs images'):
        export.export(model, path, 'onnx', SIZE, 'int8')
    with pytest.raises(ConfigError, match="no part 'hat' to keep in float32: name one of .*backbone.*head"):
        export.export(model, path, 'onnx', SIZE, 'int8', Calibration([example(SIZE, 1).numpy()], ['head', 'hat']))
