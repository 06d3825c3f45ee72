"""The web page of docs/demo.md as a Space of Hugging Face. The model is that of the Space's variable MODEL."""

import os
from pathlib import Path

# Visitors come through a proxy, which says who they are.
os.environ.setdefault('FORWARDED_ALLOW_IPS', '*')

from mask2former.apis import list_images
from mask2former.page.app import make_page, serve
from mask2former.page.limits import Limits
from mask2former.page.model import PageModel

MODEL = os.environ.get('MODEL', 'facebook/mask2former-swin-tiny-coco-panoptic')
CHECKPOINT = os.environ.get('CHECKPOINT')  # where MODEL is a config
EXAMPLES = Path(__file__).parent / 'examples'  # a folder of images, if you add one

examples = [Path(path) for path in list_images(EXAMPLES)] if EXAMPLES.is_dir() else []
page = make_page(PageModel(MODEL, CHECKPOINT), Limits(image_side=2048, video_frames=120, video_seconds=60), examples)

if __name__ == '__main__':
    serve(page, host='0.0.0.0', port=int(os.environ.get('PORT', 7860)))
