"""The counters of early stopping are kept in checkpoints."""

from mmengine.hooks import EarlyStoppingHook, Hook
from mmengine.runner import Runner


class EarlyStoppingStateHook(Hook):
    """Keeps the best value and the number of validations without a better one, of each ``EarlyStoppingHook``.

    mmengine's hook begins anew when a training is resumed, and so ends it later.
    """

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Add the counters to the checkpoint's ``meta``."""
        state = {
            hook.monitor: dict(best_score=float(hook.best_score), wait_count=hook.wait_count)
            for hook in _early_stopping(runner)
        }
        if state:
            checkpoint['meta']['early_stopping'] = state

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Where a training is resumed, set them."""
        kept = (checkpoint.get('meta') or {}).get('early_stopping', {}) if runner._resume else {}
        for hook in _early_stopping(runner):
            if hook.monitor in kept:
                hook.best_score = kept[hook.monitor]['best_score']
                hook.wait_count = kept[hook.monitor]['wait_count']


def _early_stopping(runner: Runner) -> list[EarlyStoppingHook]:
    return [hook for hook in runner.hooks if isinstance(hook, EarlyStoppingHook)]
