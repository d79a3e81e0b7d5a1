"""What of Lightning's insides is relied on; a test fails by name where a new version changes it."""

from pathlib import Path

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.plugins import MixedPrecision, Precision

from shoptalk.tuning.lightning_internals import clips_itself, end_round


class Small(LightningModule):
    """One weight; counts the batches of each epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))
        self.batches: list[int] = []

    def training_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
        self.batches.append(int(batch[0]))
        return (self.weight * batch).sum()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def trainer(steps: int, **settings: object) -> Trainer:
    return Trainer(
        accelerator="cpu", max_steps=steps, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, **settings,
    )  # type: ignore[arg-type]  # fmt: skip


def loader(*values: float) -> torch.utils.data.DataLoader[torch.Tensor]:
    return torch.utils.data.DataLoader([torch.tensor(value) for value in values])  # type: ignore[arg-type]


def test_lightning_refuses_to_clip_a_fused_optimiser_in_mixed_precision() -> None:
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.ones(1))], fused=True)
    with pytest.raises(RuntimeError, match="fused"):
        MixedPrecision("bf16-mixed", "cpu").clip_gradients(optimizer, 1.0)


def test_bfloat16_is_clipped_past_the_refusal_and_nothing_else_is() -> None:
    assert clips_itself(MixedPrecision("bf16-mixed", "cpu"))
    assert not clips_itself(MixedPrecision("16-mixed", "cpu")) and not clips_itself(Precision())


def test_clip_grad_by_norm_clips_a_fused_optimiser() -> None:
    weight = torch.nn.Parameter(torch.ones(3))
    weight.grad = torch.full((3,), 5.0)
    MixedPrecision("bf16-mixed", "cpu").clip_grad_by_norm(torch.optim.AdamW([weight], fused=True), 0.5)
    assert float(weight.grad.norm()) == pytest.approx(0.5, rel=1e-4)


def test_a_checkpoint_of_an_ended_round_goes_on_with_the_next(tmp_path: Path) -> None:
    first = trainer(2)
    first.fit(Small(), loader(1, 2))
    first.save_checkpoint(tmp_path / "last.ckpt")
    content = torch.load(tmp_path / "last.ckpt", weights_only=True)
    end_round(content)
    torch.save(content, tmp_path / "ended.ckpt")
    resumed = Small()
    trainer(4).fit(resumed, loader(3, 4), ckpt_path=tmp_path / "ended.ckpt")
    assert resumed.batches == [3, 4]
