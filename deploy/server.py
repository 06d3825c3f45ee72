"""Serve an exported model on LitServe: an image comes in, JSON or a PNG goes out.

pip install litserve onnxruntime pillow python-multipart
python server.py model.onnx                                          # beside mask2former_onnx.py, as export writes it
curl -F image=@photo.jpg http://127.0.0.1:8000/predict               # segments, and maps of ids in base64
curl -F image=@photo.jpg 'http://127.0.0.1:8000/predict?format=png' -o ids.png
"""

import argparse
import base64
import functools
import io
import os
import signal
import sys
from pathlib import Path
from typing import Annotated, Literal

import litserve
import numpy as np
from fastapi import Depends, HTTPException, Request, Response, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from PIL import Image, ImageOps

MEGABYTES, MEGAPIXELS = 10, 4  # of an image; a result takes 4 bytes for each pixel and surviving query
BATCH, GATHER = 8, 0.01  # most images that the model sees at once; seconds that the first one waits for others
SECONDS, CONNECTIONS = 30, 64  # until a waiting request gets 504; beyond so many connections others get 503
KINDS = ('JPEG', 'PNG', 'WEBP', 'BMP', 'GIF', 'TIFF')
RESULTS = ('panoptic', 'instance', 'semantic')
Upload = tuple[np.ndarray, str]  # (H, W, 3) uint8 RGB, and the format of the answer


def read_upload(image: UploadFile, format: Literal['json', 'png'] = 'json') -> Upload:
    """Read the image of a request, which is refused here and not within a batch of others."""
    try:
        with Image.open(image.file, formats=KINDS) as file:
            small = file.width * file.height <= MEGAPIXELS * 1e6
            pixels = np.asarray(ImageOps.exif_transpose(file).convert('RGB')) if small else None
    except Exception:  # the decoders raise what they like
        raise HTTPException(400, f'This is no image that can be read: send a whole file, {", ".join(KINDS)}.') from None
    if pixels is None:
        raise HTTPException(413)
    return pixels, format


def png(ids: np.ndarray) -> bytes:
    """A map (H, W) as COCO writes ids: R + 256 G + 65536 B."""
    content = io.BytesIO()
    Image.fromarray(np.stack([ids >> shift & 255 for shift in (0, 8, 16)], axis=-1).astype(np.uint8)).save(
        content, 'PNG'
    )
    return content.getvalue()


def run_lengths(mask: np.ndarray) -> dict:
    """COCO's uncompressed run-length code of a mask (H, W): down the columns, zeros first."""
    values = np.concatenate([[False], mask.ravel(order='F')])
    starts = np.flatnonzero(values[1:] != values[:-1])
    return dict(size=list(mask.shape), counts=np.diff(starts, prepend=0, append=mask.size).tolist())


class Segmentation(litserve.LitAPI):
    """Runs the model in a process of its own.

    Args:
        path: The ONNX file.
        results: Of :data:`RESULTS`, those that are made.
        threads: Of the processor; 0 takes all cores.
    """

    def __init__(self, path: Path, results: list[str], threads: int) -> None:
        super().__init__(max_batch_size=BATCH, batch_timeout=GATHER)
        self.path, self.results, self.threads = path, results, threads

    def setup(self, device: str) -> None:
        sys.path.insert(0, str(self.path.parent))
        from mask2former_onnx import Model

        self.model = Model(self.path, threads=self.threads)
        self.model.meta |= {kind: kind in self.results and self.model.meta[kind] for kind in RESULTS}

    def decode_request(self, request: Annotated[Upload, Depends(read_upload)]) -> Upload:
        return request

    def batch(self, inputs: list[Upload]) -> list[Upload]:
        return inputs

    def predict(self, uploads: list[Upload]) -> list:
        results = self.model.batch([image for image, _ in uploads])
        return [(result, image.shape[:2], format) for result, (image, format) in zip(results, uploads)]

    def unbatch(self, output: list) -> list:
        return output

    def encode_response(self, output: tuple) -> Response:
        result, size, format = output
        maps = dict(panoptic=result.panoptic, semantic=result.semantic)
        files = {kind: png(ids) for kind, ids in maps.items() if ids is not None}
        if format == 'png':
            if not files:
                return JSONResponse(dict(detail='This server makes no maps: ask for format=json.'), 400)
            return Response(next(iter(files.values())), media_type='image/png')
        answer: dict = dict(size=size, **{kind: base64.b64encode(file).decode() for kind, file in files.items()})
        if result.segments is not None:
            answer['segments'] = result.segments
        if result.instances is not None:
            answer['instances'] = [one | dict(mask=run_lengths(one['mask'])) for one in result.instances]
        return JSONResponse(answer)


def make_server(api: Segmentation) -> litserve.LitServer:
    """A server that answers what is wrong with a request in a sentence."""
    server = litserve.LitServer(api, accelerator='cpu', timeout=SECONDS, max_payload_size=int(MEGABYTES * 1e6))

    @server.app.exception_handler(RequestValidationError)
    async def incomplete(request: Request, error: RequestValidationError) -> Response:
        return JSONResponse(dict(detail='Send a form with a file named image; format is json or png.'), 400)

    @server.app.exception_handler(413)  # of LitServe, while a file comes in, and of read_upload
    async def too_large(request: Request, error: Exception) -> Response:
        limits = f'{MEGABYTES} MB or {MEGAPIXELS} million pixels'
        return JSONResponse(dict(detail=f'The image has more than {limits}: send a smaller one.'), 413)

    return server


def stop(main_process: int, *_: object) -> None:
    """End as on Ctrl-C, on which LitServe ends its processes, too; those that are forks get here as well."""
    raise KeyboardInterrupt if os.getpid() == main_process else SystemExit


def main() -> None:
    """Run the server until Ctrl-C or SIGTERM."""
    parser = argparse.ArgumentParser(description='Serve an exported model: see the first lines of this file.')
    parser.add_argument('onnx', type=Path, help='file of `mask2former export`, with mask2former_onnx.py beside it')
    parser.add_argument('--host', default='127.0.0.1', help='0.0.0.0 is for the whole network; default: %(default)s')
    parser.add_argument('--port', type=int, default=8000, help='default: %(default)s')
    parser.add_argument(
        '--results', nargs='+', choices=RESULTS, default=['panoptic'], help='what is made; default: panoptic'
    )
    parser.add_argument('--threads', type=int, default=0, help='of the processor; default: all cores')
    args = parser.parse_args()
    for path in (args.onnx, args.onnx.parent / 'mask2former_onnx.py'):
        if not path.is_file():
            sys.exit(f"Error: There is no '{path}': write it with `mask2former export`.")
    signal.signal(signal.SIGTERM, functools.partial(stop, os.getpid()))
    server = make_server(Segmentation(args.onnx.resolve(), args.results, args.threads))
    server.run(host=args.host, port=args.port, generate_client_file=False, limit_concurrency=CONNECTIONS)


if __name__ == '__main__':
    main()
