"""What is for a GPU only. Plain PyTorch is the default: these are asked for, by `runtime.GpuUse`.

| module | what | how it is tested without a GPU |
|---|---|---|
| `use` | all of it behind one setting each | in the engine, without capture, the kernels in Triton's interpreter |
| `attention` | relative attention as one Triton kernel | in Triton's interpreter; compiled for sm_80 and sm_90 |
| `layers` | the padded encoder in few kernels | in Triton's interpreter |
| `looping` | greedy decoding, its state on the device | against `greedy`; with what makes the host wait forbidden |
| `rounds` | the rounds of `looping` in few kernels | in Triton's interpreter, against `looping` |
| `graphs` | CUDA graphs by bucket; a batch is decoded while the next is encoded | the same code without capture |
| `transfer` | copies between host and GPU by pinned memory | on a CPU, where nothing is pinned |
| `memory` | smaller batches where memory does not suffice | with a function that raises |
| `fp8` | feed-forward in 8 bits | the rounding, against float32 |
"""
