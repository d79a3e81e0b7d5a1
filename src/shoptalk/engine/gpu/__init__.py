"""What is for a GPU only. None of it has run on one yet, so it is off unless asked for; plain PyTorch is the default.

| module | what | how it is tested without a GPU |
|---|---|---|
| `attention` | relative attention as one Triton kernel | in Triton's interpreter; compiled for sm_80 and sm_90 |
| `looping` | greedy decoding, its state on the device | against `greedy`; with what makes the host wait forbidden |
| `graphs` | CUDA graphs by bucket; a batch is decoded while the next is encoded | the same code without capture |
| `fp8` | feed-forward in 8 bits | the rounding, against float32 |
"""
