"""Says where numbers stopped being finite, and keeps the batch, so that the step can be replayed."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmengine.dist import all_gather_object, is_distributed
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import nn

from mask2former.checkpoints.fit import spoilt, spoilt_in_process, spoilt_weights
from mask2former.checkpoints.shards import is_sharded
from mask2former.errors import NonFiniteError
from mask2former.registry import HOOKS

from .batch import image_names, tensors_in
from .failures import write_failure
from .layer_watch import LayerWatch, first_spoilt_output
from .optim_wrapper import SegOptimWrapper, iterations_per_step, total_norm
from .random_numbers import iteration_numbers, seed_generators
from .sync_norm import CPUSyncBatchNorm
from .unwrap import unwrap_model

_SHOWN = 4  # names in a message


@HOOKS.register_module()
class NonFiniteHook(Hook):
    """Names layer, loss terms, image files and rank where a loss, a gradient or a weight is NaN or infinite.

    The batch of such an iteration goes to ``work_dir/failures/iter_N_rank_R.pth``;
    ``tools/misc/replay_failure.py`` computes it again. No checkpoint is saved whose weights are not finite.

    Args:
        save_weights: Whether the weights of that iteration are kept, too; not of a model that is sharded.
        max_files: So many files at most are in the folder.
        max_bytes: A file is not larger: the weights are left out where they are too many, then the batch.
    """

    def __init__(self, save_weights: bool = False, max_files: int = 5, max_bytes: int = 2**29) -> None:
        self.save_weights, self.max_files, self.max_bytes = save_weights, max_files, max_bytes
        self._batch: dict | None = None
        self._losses: dict[str, Any] = {}
        self._watch: LayerWatch | None = None

    def before_train(self, runner: Runner) -> None:
        """Look at the losses of each forward pass, and at the gradient of each step that is left out.

        One process cannot run a sharded model once more, so that its layers are looked at all along.
        """
        model = unwrap_model(runner.model)
        model.register_forward_hook(self._note_losses)
        if is_sharded(model):
            self._watch = LayerWatch(model)
        if isinstance(runner.optim_wrapper, SegOptimWrapper):
            runner.optim_wrapper.explain = lambda: self._explain_step(runner)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Note the batch."""
        self._batch, self._losses = data_batch, {}
        if self._watch is not None:
            self._watch.clear()

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Save no checkpoint of weights that are not finite, so that the last one can be resumed.

        Raises:
            NonFiniteError: If a weight is NaN or infinite.
        """
        if weights := spoilt_weights(unwrap_model(runner.model)):
            raise NonFiniteError(
                f'{_count(weights, "weight")} NaN or infinite after iteration {runner.iter + 1} on rank {runner.rank}: '
                'this checkpoint is not saved. Resume from the last one with a lower learning rate.'
            )

    @contextmanager
    def explained(self, runner: Runner) -> Iterator[None]:
        """In it, what the model says of predictions that are not finite is told more exactly.

        Raises:
            NonFiniteError: If the model raises one.
        """
        try:
            yield
        except NonFiniteError as error:
            if self._batch is None or self._losses or error.__cause__ is not None:
                raise  # of a test, or of what comes after the losses, which names all
            where = self._find_layer(runner)
            images = _list(_images(self._batch))
            kept = self._keep(runner, error=str(error))
            raise NonFiniteError(f'{error} On rank {runner.rank}: {where}images {images}; {kept}') from error

    def _note_losses(self, module: nn.Module, args: tuple, output: Any) -> None:
        if module.training and isinstance(output, dict):
            self._losses = {name: _detached(value) for name, value in output.items()}

    def _explain_step(self, runner: Runner) -> str:
        """Where the gradient or the loss is not finite; every process of a training asks for it."""
        gradients = {
            name: parameter.grad
            for name, parameter in unwrap_model(runner.model).named_parameters()
            if parameter.grad is not None
        }
        terms = [name for name, value in self._losses.items() if not all(x.isfinite().all() for x in tensors_in(value))]
        own = dict(rank=runner.rank, terms=terms, images=_images(self._batch), gradients=spoilt(gradients))
        all_found = all_gather_object(own)
        guilty = [found for found in all_found if found['terms']] or [dict(own, terms=[])]
        anywhere = {name for found in all_found for name in found['gradients']}  # each has a part, where it is sharded
        named = [name for name in gradients if name in anywhere]
        parts = [_count(named, 'gradient')] if named else []
        for found in guilty[:_SHOWN]:
            terms_of = f'{_list(found["terms"])} ' if found['terms'] else ''
            parts.append(f'{terms_of}of images {_list(found["images"])} on rank {found["rank"]}')
        norm = total_norm(list(gradients.values()))
        if any(found['rank'] == runner.rank for found in guilty):
            parts.append(self._keep(runner, grad_norm=float(norm)))
        return f' ({"; ".join(parts)})'

    def _find_layer(self, runner: Runner) -> str:
        """What is not finite first: weights, or a module's output of the same batch."""
        model = unwrap_model(runner.model)
        if weights := spoilt_in_process(model):
            return f'{_count(weights, "weight")} not finite already; '
        if self._watch is not None:
            name = self._watch.first_spoilt()
            return f'{name} is not finite first; ' if name else ''
        if is_distributed() and any(
            isinstance(module, (nn.SyncBatchNorm, CPUSyncBatchNorm)) for module in model.modules()
        ):
            return ''  # the other processes do not take part
        seed_generators(*iteration_numbers(runner, runner.iter))
        name = first_spoilt_output(model, self._batch, getattr(runner.optim_wrapper, 'amp_dtype', None))
        return f'{name} is not finite first; ' if name else ''

    def _keep(self, runner: Runner, **outcome: Any) -> str:
        """Write the iteration to a file; says where it is, or why it is not."""
        folder = Path(runner.work_dir) / 'failures'
        path = folder / f'iter_{runner.iter}_rank_{runner.rank}.pth'
        batch = self._batch
        if not isinstance(batch, dict) or not isinstance(batch.get('inputs'), list):
            return 'the batch is of a form that is not kept'
        if len(list(folder.glob('*.pth'))) >= self.max_files:
            return f'{folder} has {self.max_files} files already, so the batch is not kept'
        model = unwrap_model(runner.model)
        content = dict(
            inputs=batch['inputs'],
            samples=batch['data_samples'],
            seeds=iteration_numbers(runner, runner.iter),
            iteration=runner.iter,
            rank=runner.rank,
            world_size=runner.world_size,
            amp_dtype=getattr(runner.optim_wrapper, 'amp_dtype', None),
            loss_scale=_loss_scale(runner.optim_wrapper),
            accumulative_counts=iterations_per_step(runner.optim_wrapper),
            losses=self._losses,
            error=None,
            grad_norm=None,
            meta=dict(dataset_meta={k: getattr(model, k) for k in ('classes', 'isthing') if hasattr(model, k)}),
        )
        content.update(outcome)
        note = ''
        if self.save_weights and is_sharded(model):
            note = ' without the weights, of which this process has a part'
        elif self.save_weights:
            state = {name: value.detach().cpu() for name, value in model.state_dict().items()}
            if _bytes(state.values()) + _bytes(batch['inputs']) <= self.max_bytes:
                content['state_dict'] = state
            else:
                note = ' without the weights, which are too large'
        if _bytes(batch['inputs']) > self.max_bytes:
            return f'the batch is larger than {self.max_bytes >> 20} MB and is not kept'
        try:
            write_failure(path, content)
        except OSError as error:
            return f'the batch could not be kept ({error})'
        return f'the batch is kept{note} in {path}: replay it with tools/misc/replay_failure.py'


def _loss_scale(optim_wrapper: Any) -> float:
    scaler = getattr(optim_wrapper, 'scaler', None)
    return 1.0 if scaler is None else scaler.get_scale()


def _detached(value: Any) -> Any:
    return [_detached(x) for x in value] if isinstance(value, list | tuple) else value.detach()


def _images(batch: Any) -> list[str]:
    samples = batch.get('data_samples') if isinstance(batch, dict) else None
    return image_names(samples or ())


def _list(names: list[str]) -> str:
    more = f' and {len(names) - _SHOWN} more' if len(names) > _SHOWN else ''
    return ', '.join(names[:_SHOWN]) + more


def _count(names: list[str], what: str) -> str:
    if len(names) == 1:
        return f"the {what} of '{names[0]}' is"
    return f"the {what}s of '{names[0]}' and {len(names) - 1} more are"


def _bytes(tensors: Any) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
