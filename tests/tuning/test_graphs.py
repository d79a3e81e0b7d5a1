"""Work that is recorded for each shape gives what it gives without, on a CPU and on a GPU."""

import torch

from shoptalk.tuning.graphs import Graphs, own_stream

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def test_what_is_recorded_follows_its_inputs_and_the_weights() -> None:
    layer = torch.nn.Linear(8, 4).to(DEVICE)
    for parameter in layer.parameters():
        parameter.grad = torch.zeros_like(parameter)

    def work(given: torch.Tensor) -> dict[str, torch.Tensor]:
        torch._foreach_zero_([parameter.grad for parameter in layer.parameters()])
        loss = layer(given).square().mean()
        loss.backward()
        return {"loss": loss.detach()}

    with own_stream(DEVICE):
        graphs = Graphs(work, DEVICE)
        for turn, count in enumerate((3, 5, 3, 5, 3)):
            given = torch.randn(count, 8, device=DEVICE)
            told = graphs(given)["loss"].item()
            gradient = layer.weight.grad.clone()  # type: ignore[union-attr]
            assert told == work(given)["loss"].item()
            assert torch.equal(gradient, layer.weight.grad)  # type: ignore[arg-type]
            with torch.no_grad():
                layer.weight.add_(0.1 * turn)
        assert len(graphs) == 2
