"""What is for a GPU only. Plain PyTorch is the default: these are asked for, by `graphs.Pipeline`.

| module | what | how it is tested without a GPU |
|---|---|---|
| `attention` | relative attention as one Triton kernel | in Triton's interpreter; compiled for sm_80 and sm_90 |
| `layers` | the padded encoder in few kernels | in Triton's interpreter |
| `looping` | greedy decoding, its state on the device | against `greedy`; with what makes the host wait forbidden |
| `rounds` | the rounds of `looping` in few kernels | in Triton's interpreter, against `looping` |
| `graphs` | CUDA graphs by bucket; a batch is decoded while the next is encoded | the same code without capture |
| `fp8` | feed-forward in 8 bits | the rounding, against float32 |
"""
