"""Where Lightning's own course is changed; `tests/tuning/test_lightning_internals.py` holds each change."""

from typing import Any

from lightning.pytorch.plugins import MixedPrecision


def clips_itself(precision: Any) -> bool:
    """Whether gradients are to be clipped past the precision plugin's refusal.

    Lightning refuses fused optimisers in mixed precision, because they undo the scaling of float16 gradients only after
    clipping. Gradients of bfloat16 are not scaled: the plugin has no scaler.
    """
    return isinstance(precision, MixedPrecision) and precision.scaler is None


def end_round(checkpoint: dict[str, Any]) -> None:
    """Mark the round of a checkpoint as ended, in place.

    It was saved at the end of a round. A Lightning trainer with `max_steps` takes that round for unfinished, and would
    train on one more batch of it before the next round.
    """
    progress = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]
    progress.update(current=dict.fromkeys(progress["current"], 0), is_last_batch=False)
