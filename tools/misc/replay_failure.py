"""Compute again a training step that failed: python tools/misc/replay_failure.py CONFIG FAILURE [--checkpoint C]

FAILURE is a file of work_dir/failures. The weights are those of the checkpoint, or those in the file, where
default_hooks.nonfinite.save_weights=True kept them. On a CPU with the same weights all numbers are the same to the last
bit; the exit code is 1 where one is not. Of a training of several processes the losses of one differ, as all share the
denominators.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from mask2former.apis.cli import config_parser, run_tool
from mask2former.errors import ConfigError, NonFiniteError

if TYPE_CHECKING:
    from mmengine.model import BaseModel


def parse_args() -> argparse.Namespace:
    parser = config_parser('Compute again a training step that failed.')
    parser.add_argument('failure', help='file of work_dir/failures')
    parser.add_argument('--checkpoint', help='the weights; default: those that the file has')
    parser.add_argument('--device', default='cpu', help="such as 'cuda'; default: %(default)s")
    return parser.parse_args()


def batch_of(failure: dict) -> dict:
    """The batch, as the data loader gave it."""
    return dict(inputs=failure['inputs'], data_samples=failure['samples'])


def replay(model: BaseModel, failure: dict) -> dict[str, Any]:
    """The ``losses``, the ``grad_norm`` and the ``error`` (None, or what the model raised) of the step."""
    import torch
    from mmengine.logging import MessageHub

    from mask2former.engine.random_numbers import seed_generators
    from mask2former.registry import OPTIM_WRAPPERS

    MessageHub.get_current_instance().update_info('iter', failure['iteration'])
    wrapper = OPTIM_WRAPPERS.build(
        dict(
            type='SegOptimWrapper',
            optimizer=torch.optim.SGD(model.parameters(), lr=0.0),
            amp_dtype=failure['amp_dtype'],
        )
    )
    model.train().zero_grad()
    seed_generators(*failure['seeds'])
    try:
        with wrapper.optim_context(model):
            losses = model(**model.data_preprocessor(batch_of(failure), True), mode='loss')
    except NonFiniteError as error:
        return dict(losses={}, grad_norm=None, error=str(error))
    scale = failure['loss_scale']
    (model.parse_losses(losses)[0] / failure['accumulative_counts'] * scale).backward()
    gradients = [p.grad.div_(scale) for p in model.parameters() if p.grad is not None]
    return dict(
        losses={name: value.detach() for name, value in losses.items()},
        grad_norm=float(torch.nn.utils.get_total_norm(gradients)),
        error=None,
    )


def compare(failure: dict, again: dict[str, Any]) -> list[tuple[str, Any, Any, bool]]:
    """Rows of a name, what was recorded, what it is now, and whether they are the same."""
    rows = [(name, value, again['losses'].get(name)) for name, value in failure['losses'].items()]
    if failure['grad_norm'] is not None and failure['accumulative_counts'] == 1:
        rows.append(('grad_norm', failure['grad_norm'], again['grad_norm']))
    rows.append(('error', failure['error'], again['error']))
    return [(name, before, now, _same(before, now)) for name, before, now in rows]


def _same(before: Any, now: Any) -> bool:
    import torch

    if isinstance(before, float | torch.Tensor) and now is not None:
        before, now = (torch.as_tensor(x).cpu() for x in (before, now))
        return before.shape == now.shape and torch.equal(before.nan_to_num(0.5), now.nan_to_num(0.5))
    return before == now


def main() -> None:
    args = parse_args()
    from mask2former.apis import init_model
    from mask2former.apis.run_config import load_config
    from mask2former.checkpoints.fit import spoilt_weights
    from mask2former.engine.batch import image_names
    from mask2former.engine.failures import check_targets, read_failure
    from mask2former.engine.layer_watch import first_spoilt_output

    failure = read_failure(args.failure)
    if args.checkpoint is None and 'state_dict' not in failure:
        raise ConfigError(
            f"'{args.failure}' holds no weights: give --checkpoint, the last one before iteration "
            f'{failure["iteration"]}, or train with default_hooks.nonfinite.save_weights=True to keep them.'
        )
    model = init_model(load_config(args), args.checkpoint or args.failure, args.device)
    check_targets(failure['samples'], len(model.dataset_meta['classes']))
    print(f'Iteration {failure["iteration"]}, rank {failure["rank"]}: {", ".join(image_names(failure["samples"]))}')
    again = replay(model, failure)
    rows = compare(failure, again)
    for name, before, now, same in rows:
        if before is not None or now is not None:
            print(f'{name}: {_show(before)}' + (', the same again' if same else f', now {_show(now)}'))
    if weights := spoilt_weights(model):
        print(f"{len(weights)} weights are not finite, first '{weights[0]}'.")
    elif found := first_spoilt_output(model, batch_of(failure), failure['amp_dtype']):
        print(f'First not finite: {found}.')
    raise SystemExit(0 if all(same for *_, same in rows) else 1)


def _show(value: Any) -> str:
    import torch

    return f'{float(value):.9g}' if isinstance(value, torch.Tensor) and value.numel() == 1 else str(value)


if __name__ == '__main__':
    run_tool(main)
