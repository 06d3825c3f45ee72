"""The tab that looks inside of the model."""

import html
import json
import re
from types import SimpleNamespace

import pytest
from torch import nn

from mask2former.analysis.inside import can_look_inside
from mask2former.errors import UserError
from mask2former.page.inside_tab import EMPTY, InsideTab
from mask2former.page.limits import Limits, RateLimit


def make_tab(model, per_minute=100):
    return InsideTab(model.studio, Limits(image_mb=0.5), RateLimit(per_minute))


REQUEST = SimpleNamespace(client=SimpleNamespace(host='somebody'))


def test_an_image_is_shown_in_a_frame_of_its_own(model, tiny_run):
    path = tiny_run.images / '000000.jpg'
    frame = make_tab(model).look((str(path), '<i>.jpg'), REQUEST)
    assert frame.startswith('<iframe') and 'sandbox="allow-scripts"' in frame
    [content] = re.findall(r'srcdoc="([^"]*)"', frame)
    page = html.unescape(content)
    assert '<title>Inside: &lt;i&gt;.jpg</title>' in page
    assert json.loads(re.search(r'const queries = (.*), colors = ', page)[1])


def test_no_image_too_large_ones_and_too_many(model, tmp_path):
    tab = make_tab(model, per_minute=2)
    assert tab.look(None, REQUEST) == EMPTY
    large = tmp_path / 'large.jpg'
    large.write_bytes(b'0' * 600_000)
    for sentence in ('more than 0.5 MB', 'more than 0.5 MB', 'minute'):
        with pytest.raises(UserError, match=sentence):
            tab.look((str(large), 'large.jpg'), REQUEST)


def test_which_models_have_it(model):
    assert can_look_inside(model.model) and not can_look_inside(nn.Linear(1, 1))
