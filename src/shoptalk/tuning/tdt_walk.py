"""`tdt_on_device.walk` as one Triton kernel: a program for each row goes through all diagonals.

In PyTorch each diagonal takes ten launches, together a third of all launches of a small model's training step.

Shapes: as in `tdt_on_device`.
"""

import torch
import triton
import triton.language as tl

MOST_WARPS = 4


@triton.jit
def _walk(  # type: ignore[no-untyped-def]
    arcs, reached, diagonals, rows, cells, SPANS: tl.constexpr, CELLS: tl.constexpr
):  # fmt: skip
    """Fill the diagonals behind the start; a log of a sum goes along with its highest term (float64)."""
    row, cell_U = tl.program_id(0).to(tl.int64), tl.arange(0, CELLS)
    is_cell_U = cell_U < cells
    never = float("-inf")
    for number in range(diagonals):
        most_U = tl.full((CELLS,), never, tl.float64)
        sum_U = tl.zeros((CELLS,), tl.float64)
        for span in tl.static_range(SPANS):
            from_U = reached + ((number + 1 + span) * rows + row) * (cells + 1) + cell_U
            arc_U = arcs + ((number * SPANS + span) * rows + row) * 2 * cells + cell_U
            token_U = tl.load(from_U, mask=is_cell_U, other=never) + tl.load(arc_U, mask=is_cell_U, other=never)
            blank_U = tl.load(from_U + 1, mask=is_cell_U, other=never)
            blank_U += tl.load(arc_U + cells, mask=is_cell_U, other=never)
            new_U = tl.maximum(most_U, tl.maximum(token_U, blank_U))
            safe_U = tl.where(new_U == never, 0.0, new_U)
            sum_U = sum_U * tl.exp(most_U - safe_U) + tl.exp(token_U - safe_U) + tl.exp(blank_U - safe_U)
            most_U = new_U
        place_U = reached + ((number + 1 + SPANS) * rows + row) * (cells + 1) + 1 + cell_U
        is_reached_U = most_U > never
        told_U = tl.where(is_reached_U, most_U + tl.log(tl.where(is_reached_U, sum_U, 1.0)), never)
        tl.store(place_U, told_U, mask=is_cell_U)
        tl.debug_barrier()  # other threads read it in the next turn


def walk_fused(arcs_NDRAU: torch.Tensor) -> torch.Tensor:
    """`tdt_on_device.walk`; the arcs are contiguous and float64."""
    diagonals, span_count, rows, _, cells = arcs_NDRAU.shape
    reached_NRU = arcs_NDRAU.new_full((span_count + diagonals + 1, rows, cells + 1), float("-inf"))
    reached_NRU[span_count, :, 1] = 0.0
    width = triton.next_power_of_2(cells)
    _walk[(rows,)](
        arcs_NDRAU, reached_NRU, diagonals, rows, cells,
        SPANS=span_count, CELLS=width, num_warps=max(1, min(MOST_WARPS, width // 32)), num_stages=1,
    )  # fmt: skip
    return reached_NRU[span_count:, :, 1:]
