"""The notebooks of demo/ run from the first cell to the last, one after another, on a few drawn images."""

import re

import pytest

from mask2former.data_tools.shapes import generate_shapes
from tests.tiny import ROOT

nbformat = pytest.importorskip('nbformat')
nbclient = pytest.importorskip('nbclient')
jupyter_client = pytest.importorskip('jupyter_client')
pytest.importorskip('ipykernel')

SETTINGS = {
    'train_on_your_folder': "DATA, OPTIONS = 'data/shapes', dict(epochs=1, size=64, device='cpu')",
    'predict': "RUN, IMAGES = 'runs/shapes', 'data/shapes/val'",
    'look_inside': "RUN, IMAGE, QUERIES = 'runs/shapes', 'data/shapes/val/000000.jpg', [0]",
}


def read(name):
    return nbformat.read(ROOT / 'demo' / f'{name}.ipynb', as_version=4)


@pytest.fixture(scope='module')
def done(tmp_path_factory):
    """The folder in which they ran, and the notebooks with their outputs.

    One process runs all of them, as importing takes longest; each begins without the names of the one before.
    """
    folder = tmp_path_factory.mktemp('notebooks')
    generate_shapes(folder / 'data' / 'shapes', num_train=4, num_val=2, size=(64, 64))
    manager, notebooks = jupyter_client.KernelManager(kernel_name='python3'), {}
    try:
        for name, settings in SETTINGS.items():
            book = notebooks[name] = read(name)
            [cell] = [cell for cell in book.cells if 'parameters' in cell.metadata.get('tags', ())]
            names = set(re.findall(r'^(\w+) = ', cell.source, re.M))
            assert names == set(settings.partition(' = ')[0].split(', ')), f'{name} has other settings: {names}'
            cell.source = f'%reset -f\n{settings}'
            resources = dict(metadata=dict(path=str(folder)))
            nbclient.NotebookClient(book, km=manager, timeout=600, resources=resources).execute()
    finally:
        if manager.has_kernel:
            manager.shutdown_kernel()
    return folder, notebooks


def outputs(book, kind):
    return [
        output.data[kind] for cell in book.cells for output in cell.get('outputs', ()) if kind in output.get('data', {})
    ]


def printed(book):
    return ''.join(output.get('text', '') for cell in book.cells for output in cell.get('outputs', ()))


def test_train_on_your_folder(done):
    folder, books = done
    book = books['train_on_your_folder']
    assert 'COCO panoptic' in printed(book) and 'queries' in printed(book)
    assert any("'PQ': " in text for text in outputs(book, 'text/plain'))
    [page] = [text for text in outputs(book, 'text/html') if 'srcdoc' in text]
    assert 'mask2former predict' in page and (folder / 'runs' / 'shapes' / 'report.html').is_file()


def test_predict(done):
    folder, books = done
    assert printed(books['predict']).startswith('2 images; classes: ')
    assert len(outputs(books['predict'], 'image/png')) == 1
    made = {path.name for path in (folder / 'outputs').iterdir()}
    assert made == {'000000.jpg', '000001.jpg', 'labelme.json', 'results.json'}


def test_look_inside(done):
    book = done[1]['look_inside']
    assert re.search(r'^query 0, [\w ]+: \d\.\d\d \(\d\.\d\d\) ', printed(book), re.M)
    assert len(outputs(book, 'image/png')) == 2
    [page] = outputs(book, 'text/html')
    assert 'srcdoc' in page and len(page) > 10000


@pytest.mark.parametrize('name', SETTINGS)
def test_they_are_stored_without_outputs_in_short_cells(name):
    book = read(name)
    nbformat.validate(book)
    assert not any(cell.get('outputs') or cell.get('execution_count') for cell in book.cells)
    assert max(len(cell.source.splitlines()) for cell in book.cells if cell.cell_type == 'code') <= 8
    for cell in book.cells:
        for target in re.findall(r'\]\(([^)#\s]+)', cell.source if cell.cell_type == 'markdown' else ''):
            assert (ROOT / 'demo' / target).exists(), f'{name} links to {target}'


def test_every_notebook_is_run():
    assert {path.stem for path in (ROOT / 'demo').glob('*.ipynb')} == set(SETTINGS)
