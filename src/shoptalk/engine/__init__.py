"""90 The engine: fast inference of a FastConformer-TDT checkpoint on CPU and GPU, without NeMo.

| module | what |
|---|---|
| `shape`, `weights` | what a checkpoint's config says, checked; its tensors and its tokenizer, opened safely |
| `features`, `encoder`, `attention`, `transducer` | log-mel; FastConformer; prediction network and joint |
| `greedy`, `beam` | decoding: greedy in batches, and n-best |
| `boosting` | phrases of a request, over subwords |
| `long_form`, `holes`, `streaming` | audio of any length; speech without tokens; chunks |
| `int8` | the matrix products of a CPU in 8 bits |
| `gpu` | what is for a GPU only |
| `recognizer` | all of it as a `Recognizer` |
"""
