"""The confidence of each token of a decoded TDT hypothesis; imports nothing of NeMo.

It is the token's probability among all tokens but the blank, at the frame where it was decoded; a word's is the product
over its tokens (`pieces.words`). Of the measures compared on the general set this finds wrong words best (docs/LOG.md).
NeMo keeps confidences while it decodes, but only of measures that count the blank; so one pass of the prediction
network over the finished hypotheses gives them here.
"""

from collections.abc import Sequence
from typing import Any


def token_confidences(model: Any, encoded_BDT: Any, hypotheses: Sequence[Any]) -> list[list[float]]:
    """For each hypothesis of a batch the confidence of each of its tokens; N tokens in all, V without the blank."""
    import torch

    counts = [len(one.y_sequence) for one in hypotheses]
    if not any(counts):
        return [[] for _ in counts]
    device = encoded_BDT.device
    said = [torch.as_tensor(one.y_sequence, dtype=torch.long, device=device) for one in hypotheses]
    frames_N = torch.cat([torch.as_tensor(one.timestamp, dtype=torch.long, device=device) for one in hypotheses])
    row_N = torch.repeat_interleave(torch.tensor(counts, device=device))
    place_N = torch.cat([torch.arange(count, device=device) for count in counts])
    with torch.inference_mode():
        said_BU = torch.nn.utils.rnn.pad_sequence(said, batch_first=True)
        predicted_BHU, *_ = model.decoder(targets=said_BU, target_length=torch.tensor(counts, device=device))
        heard_N1D = encoded_BDT[row_N, :, frames_N][:, None]
        predicted_N1H = predicted_BHU[row_N, :, place_N][:, None]  # the state before the token, from the start's on
        joint = model.joint
        logits_N11O = joint.joint_after_projection(
            joint.project_encoder(heard_N1D), joint.project_prednet(predicted_N1H)
        )
        tokens_NV = logits_N11O[:, 0, 0, : model.decoder.blank_idx].float().softmax(dim=-1)
        confidence_N = tokens_NV.gather(1, torch.cat(said)[:, None])[:, 0]
    return [part.tolist() for part in confidence_N.cpu().split(counts)]
