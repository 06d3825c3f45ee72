"""The page of a tiny model."""

import pytest

pytest.importorskip('gradio', reason='the page is made with Gradio')


@pytest.fixture(scope='session')
def model(tiny_run):
    from mask2former.page.model import PageModel

    return PageModel(tiny_run.config, tiny_run.checkpoint, device='cpu')


@pytest.fixture(scope='session')
def photo(tiny_run):
    from mask2former.page.limits import Limits
    from mask2former.page.photo import read_photo

    return read_photo((tiny_run.images / '000000.jpg').read_bytes(), '000000.jpg', Limits())


@pytest.fixture(scope='session')
def found(model, photo):
    return model.studio.find(photo, (0.05, 0.0))


@pytest.fixture(scope='session')
def address(model, tiny_run):
    """Of the page while it is served, with few requests a minute."""
    from mask2former.page.app import make_page, serve
    from mask2former.page.limits import Limits

    limits = Limits(image_mb=0.5, video_mb=0.5, per_minute=1000, video_frames=4)
    page = make_page(model, limits, [tiny_run.images / f'00000{number}.jpg' for number in range(2)])
    yield serve(page, wait=False).rstrip('/')
    page.close()
