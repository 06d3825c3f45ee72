"""The model repository for Triton, read by the definition of its configuration that Triton's own client has."""

import json
import re
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from mask2former.deployment import triton
from mask2former.deployment.onnx_file import OnnxFile, Value
from mask2former.errors import ConfigError, DataError
from tests.tiny import ROOT

onnx = pytest.importorskip('onnx', reason='the model is written as ONNX')
text_format = pytest.importorskip('google.protobuf.text_format', reason='config.pbtxt is read by it')
client = pytest.importorskip('tritonclient.grpc', reason='it defines config.pbtxt')

META = dict(size=[64, 96], classes=['car "a"', 'Stra\u00dfe\n', '\\', '\u4eba'], panoptic=dict(score_thr=0.5))


@pytest.fixture
def file(tmp_path):
    """A graph with our inputs and outputs, which computes nothing sensible."""
    helper, float_ = onnx.helper, onnx.TensorProto.FLOAT
    weights = onnx.numpy_helper.from_array(np.zeros((1,), np.float32), 'zero')
    nodes = [helper.make_node('Mul', ['image', 'zero'], [name]) for name in ('class_logits', 'mask_logits')]
    graph = helper.make_graph(
        nodes,
        'model',
        [helper.make_tensor_value_info('image', float_, ['batch', 3, 64, 96])],
        [
            helper.make_tensor_value_info('class_logits', float_, ['batch', 10, 5]),
            helper.make_tensor_value_info('mask_logits', float_, ['batch', 10, 16, 24]),
        ],
        [weights],
    )
    model = helper.make_model(graph)
    helper.set_model_props(model, dict(mask2former=json.dumps(META)))
    onnx.save(model, tmp_path / 'model.onnx')
    return tmp_path / 'model.onnx'


def test_the_client_of_the_docs_makes_results(tmp_path, monkeypatch):
    """It asks a server that answers in Triton's protocol, and has random logits for every image."""
    grpc = pytest.importorskip('grpc', reason='the server is made with it')
    pytest.importorskip('onnxruntime', reason="the runtime's one file imports it")
    from mask2former.deployment import mask2former_onnx

    rng = np.random.default_rng(0)
    logits = dict(class_logits=rng.normal(size=(1, 10, 5)), mask_logits=rng.normal(size=(1, 10, 16, 24)))
    logits = {name: value.astype(np.float32) for name, value in logits.items()}
    meta = dict(size=None, divisor=32, scale=[90, 90], keep_ratio=True, antialias=False, pad_val=[1.0, 2.0, 3.0])
    meta |= dict(classes=list('abcd'), isthing=[True] * 4, instance=None, semantic='masks')
    meta['panoptic'] = dict(score_thr=0.0, overlap_thr=0.0, inside_mask=True)
    seen = []

    class Server(client.service_pb2_grpc.GRPCInferenceServiceServicer):
        def ModelConfig(self, request, context):
            text = triton.model_config(OnnxFile(None, meta, [], []), request.name, 8, 10, 64)
            return client.service_pb2.ModelConfigResponse(config=parse(text))

        def ModelInfer(self, request, context):
            [entry] = request.inputs
            seen.append(np.frombuffer(request.raw_input_contents[0], np.float32).reshape(entry.shape))
            answer = client.service_pb2.ModelInferResponse(model_name=request.model_name)
            for name, value in logits.items():
                answer.outputs.add(name=name, datatype='FP32', shape=value.shape)
                answer.raw_output_contents.append(value.tobytes())
            return answer

    server = grpc.server(ThreadPoolExecutor(1))
    client.service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(Server(), server)
    port = server.add_insecure_port('127.0.0.1:0')
    server.start()
    image = rng.integers(0, 256, (47, 83, 3), dtype=np.uint8)
    Image.fromarray(image).save(tmp_path / 'image.png')
    [code] = re.findall(r'```python\n(import json\n.*?)```', (ROOT / 'docs' / 'serving.md').read_text(), re.DOTALL)
    code = code.replace('localhost:8001', f'127.0.0.1:{port}').replace('image.jpg', str(tmp_path / 'image.png'))
    monkeypatch.setitem(sys.modules, 'mask2former_onnx', mask2former_onnx)
    names = {}
    exec(code, names)
    server.stop(None)
    names['client'].close()
    model = mask2former_onnx.Model.of(meta)
    prepared, shape = model.prepare(image)
    assert shape == (51, 90) and prepared.shape == (3, 64, 96)
    np.testing.assert_array_equal(seen, [prepared[None]])
    expected = model.results(logits['class_logits'][0], logits['mask_logits'][0], shape, (47, 83))
    assert expected.segments and names['result'].segments == expected.segments
    np.testing.assert_array_equal(names['result'].panoptic, expected.panoptic)


def parse(text):
    return text_format.Parse(text, client.model_config_pb2.ModelConfig())


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, 'argv', ['triton_repository', *map(str, arguments)])
    triton.main()


def test_the_repository_is_what_triton_defines(file, tmp_path, monkeypatch, capsys):
    run(monkeypatch, file, '--out', tmp_path / 'models', '--name', 'nuclei', '--batch', '4', '--wait-ms', '2.5')
    folder = tmp_path / 'models' / 'nuclei'
    assert f'{folder} is written: tritonserver --model-repository' in capsys.readouterr().out
    assert (folder / '1' / 'model.onnx').read_bytes() == file.read_bytes()
    config = parse((folder / 'config.pbtxt').read_text(encoding='utf-8'))
    fp32 = client.model_config_pb2.TYPE_FP32
    assert (config.name, config.backend, config.max_batch_size) == ('nuclei', 'onnxruntime', 4)
    assert [(x.name, x.data_type, list(x.dims)) for x in config.input] == [('image', fp32, [3, 64, 96])]
    assert [(x.name, x.data_type, list(x.dims)) for x in config.output] == [
        ('class_logits', fp32, [10, 5]),
        ('mask_logits', fp32, [10, 16, 24]),
    ]
    assert config.dynamic_batching.max_queue_delay_microseconds == 2500
    assert config.dynamic_batching.default_queue_policy.max_queue_size == 64
    assert json.loads(config.parameters['mask2former'].string_value) == META


def test_a_file_of_one_batch_size_and_other_types():
    values = [Value('image', 'UINT8', (1, 3, -1, -1)), Value('ids', 'INT64', (1, -1, -1))]
    config = parse(triton.model_config(OnnxFile(None, META, values[:1], values[1:]), 'a', 8, 10, 64))
    assert config.max_batch_size == 0 and not config.HasField('dynamic_batching')
    assert list(config.input[0].dims) == [1, 3, -1, -1] and list(config.output[0].dims) == [1, -1, -1]
    types = [client.model_config_pb2.DataType.Value(name) for name in ('TYPE_UINT8', 'TYPE_INT64')]
    assert [config.input[0].data_type, config.output[0].data_type] == types
    with pytest.raises(DataError, match='x has the type STRING'):
        triton.model_config(OnnxFile(None, META, [Value('x', 'STRING', (-1,))], []), 'a', 8, 10, 64)


@pytest.mark.parametrize(
    'arguments, said', [(['--name', '../x'], "'../x' must be of letters"), (['--batch', '0'], '--batch')]
)
def test_what_cannot_be(file, tmp_path, monkeypatch, arguments, said):
    with pytest.raises(ConfigError, match=said):
        run(monkeypatch, file, '--out', tmp_path / 'models', *arguments)
    assert not (tmp_path / 'models').exists()
