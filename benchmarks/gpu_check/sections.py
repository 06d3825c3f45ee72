"""The sections, in the order of their value."""

import importlib.util
from typing import NamedTuple


class Part(NamedTuple):
    """What is run in a process of its own.

    Attributes:
        name: What the section's module is told.
        share: Of the section's time, beside the other parts'.
        needs: A module without which there is nothing to run.
    """

    name: str
    share: float = 1
    needs: str | None = None

    def is_installed(self) -> bool:
        """Whether what it needs is there; nothing is imported for that but the packages around it."""
        if self.needs is None:
            return True
        try:
            spec = importlib.util.find_spec(self.needs)
        except ModuleNotFoundError:  # of the package around it
            return False
        return spec is not None and spec.loader is not None  # mmcv-lite has a placeholder without a loader


class Section(NamedTuple):
    """A section.

    Attributes:
        name: What it is called, and the module in this package that has it.
        share: Of the time, beside the others'.
        title: Its headline on the page.
        text: What the page says of its tables.
        parts: What is run one after the other; what one leaves of its time goes to the next ones.
    """

    name: str
    share: float
    title: str
    text: str
    parts: tuple[Part, ...] = (Part('all'),)

    @property
    def module(self) -> str:
        """The full name of its module."""
        return f'{__package__}.{self.name}'


SECTIONS = (
    Section('device', 6, 'The machine', 'The products are of square matrices; the copy reads and writes.'),
    Section(
        'attention',
        20,
        'Deformable attention: values, gradients, time and memory of its backends',
        'Errors are relative to the largest value, against `grid_sample` in float64 on the same device and the same '
        'rounded inputs; locations and weights are float32, as under autocast.',
        (
            Part('native', 4),
            Part('grid_sample'),
            Part('mmcv', needs='mmcv._ext'),
            Part('deformops', needs='deformops'),
            Part('torch_ms_deform_attn', needs='torch_ms_deform_attn'),
            Part('msda-triton', needs='msda_triton'),
        ),
    ),
    Section(
        'logits',
        6,
        'Logits of CPU and GPU',
        'The same weights and images in float32; errors are relative to the largest logit. With TF32 for information.',
    ),
    Section(
        'steps',
        34,
        'Seconds and memory of training steps and predictions, beside the peers',
        "Timed with PyTorch's defaults: convolutions of float32 use TF32, products do not. The logits are compared "
        'without TF32. A training step is forward, loss, backward, clipping and AdamW; a prediction is panoptic and '
        'instance results. Seconds as median (min - max), '
        'then the peak of allocated memory in MiB (on a CPU that of the whole process so far). `first` is our first '
        'step, which has the compilation. `compile` is measured of ours only.',
        (Part('mask2former'), Part('mmdet', needs='mmdet'), Part('transformers', needs='transformers')),
    ),
    Section(
        'step_profile',
        8,
        "Where a step's time goes",
        '`waits` are calls of the step in which the host waits for the device, `launches` those of kernels; `scalars` '
        'are values '
        'that the host reads (`.item()`), `nonzero` results whose size it must know. `busy` is the share of the time '
        'in which the device works: far below 1, the host is what limits. Then the longest operations, in milliseconds '
        'of the device (on a CPU: of the CPU), the lines at which the host waits, and the seconds of the parts of a '
        'training step.',
    ),
    Section(
        'tune',
        10,
        'The launches of the Triton kernel',
        'Milliseconds of a call, by the queries and the warps of a program: of the kernel with the allocation of its '
        "results and, in the backward call, the zeros and the final cast of the values' gradient, the same for all. "
        '`chosen` is what the kernel uses. All must give the same values. On a CPU it runs in the interpreter of '
        'Triton, whose times mean nothing.',
    ),
    Section(
        'training',
        24,
        'A short training',
        '`tools/train.py` with the config of `shapes`, the same images and the same seed on the device and on the CPU; '
        'panoptic quality after the last iteration. The random points differ, so the quality does: that of the device '
        "must be at least half the CPU's. If one of the two has no time, there is no comparison.",
    ),
    Section(
        'processes',
        8,
        'Two processes on one device',
        'NCCL refuses two ranks on one GPU, which is no failure; gloo then carries the gradients. Both ranks must end '
        'with the same weights and finite losses.',
    ),
    Section(
        'runtimes',
        12,
        'The exported file in other runtimes',
        'Mask2Former of R50 with random weights, 512 x 512, one image, float32 without TF32: milliseconds of a run '
        '(those of onnxruntime with the copies of image and logits), seconds until the first result (engines are built '
        "in them), and the errors of the logits against PyTorch's on the CPU, relative to the largest logit.",
        (
            Part('onnxruntime', needs='onnxruntime'),
            Part('tensorrt', needs='tensorrt'),
            Part('torch_tensorrt', needs='torch_tensorrt'),
        ),
    ),
)
