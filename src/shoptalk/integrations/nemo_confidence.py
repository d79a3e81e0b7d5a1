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

    counts = [len(hypothesis.y_sequence) for hypothesis in hypotheses]
    if not any(counts):
        return [[] for _ in counts]
    device = encoded_BDT.device
    tokens, frames = [], []
    for hypothesis in hypotheses:
        tokens.append(torch.as_tensor(hypothesis.y_sequence, dtype=torch.long, device=device))
        frames.append(torch.as_tensor(hypothesis.timestamp, dtype=torch.long, device=device))
    frames_N = torch.cat(frames)
    row_N = torch.repeat_interleave(torch.tensor(counts, device=device))
    place_N = torch.cat([torch.arange(count, device=device) for count in counts])
    with torch.inference_mode():
        tokens_BU = torch.nn.utils.rnn.pad_sequence(tokens, batch_first=True)
        predicted_BHU, *_ = model.decoder(targets=tokens_BU, target_length=torch.tensor(counts, device=device))
        encoded_N1D = encoded_BDT[row_N, :, frames_N][:, None]
        predicted_N1H = predicted_BHU[row_N, :, place_N][:, None]  # the state before the token, from the start's on
        joint = model.joint
        logits_N11O = joint.joint_after_projection(
            joint.project_encoder(encoded_N1D), joint.project_prednet(predicted_N1H)
        )
        probs_NV = logits_N11O[:, 0, 0, : model.decoder.blank_idx].float().softmax(dim=-1)
        confidence_N = probs_NV.gather(1, torch.cat(tokens)[:, None])[:, 0]
    return [part.tolist() for part in confidence_N.cpu().split(counts)]
