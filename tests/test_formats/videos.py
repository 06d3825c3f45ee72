"""Small videos to read: written by PyAV itself, each frame of its own grey."""

import struct
from pathlib import Path

import av
import numpy as np

SIZE = (48, 64)


def grey(index: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """The image (H, W, 3) uint8 of a frame: grey, lighter with each, and a white corner at the upper left."""
    image = np.full((*size, 3), 20 + 4 * index, np.uint8)
    image[: size[0] // 4, : size[1] // 4] = 255
    return image


def make_video(path: Path, frames: int = 30, fps: int = 10, tone: bool = False, flags: str = 'faststart') -> Path:
    """Write a video of H.264 and, if wished, a tone of AAC of the same length."""
    with av.open(str(path), 'w', options=dict(movflags=flags) if flags else {}) as container:
        stream = container.add_stream('libx264', rate=fps, options=dict(g='5', crf='10', bf='0'))
        stream.width, stream.height, stream.pix_fmt = SIZE[1], SIZE[0], 'yuv420p'
        sound = container.add_stream('aac', rate=16000) if tone else None
        for index in range(frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(grey(index), format='rgb24')))
        container.mux(stream.encode())
        if sound is not None:
            wave = np.sin(np.arange(16000 * frames // fps) * 0.2).astype(np.float32)[None]
            for start in range(0, wave.shape[1], 1024):
                frame = av.AudioFrame.from_ndarray(wave[:, start : start + 1024], format='fltp', layout='mono')
                frame.sample_rate, frame.pts = 16000, start
                container.mux(sound.encode(frame))
            container.mux(sound.encode())
    return path


def turn(path: Path, matrix: tuple[int, int, int, int]) -> None:
    """Set how a video is to be turned when it is shown, as telephones do: ``(a, b, c, d)`` of the track's matrix."""
    content = bytearray(path.read_bytes())
    one = 1 << 16
    upright = struct.pack('>9i', one, 0, 0, 0, one, 0, 0, 0, 1 << 30)
    place = content.index(upright, content.index(b'tkhd'))
    a, b, c, d = (one * value for value in matrix)
    content[place : place + 36] = struct.pack('>9i', a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)


def data_place(content: bytes, share: float) -> int:
    """A place in the coded pictures of an MP4 file."""
    start = content.index(b'mdat')
    return start + int((len(content) - start) * share)
