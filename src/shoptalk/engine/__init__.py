"""Inference of a FastConformer-TDT checkpoint on CPU and GPU, without NeMo; stages 70 and 90 use it.

- `recognizer`: all of it as a `Recognizer`
- `shape`: what the config of a checkpoint says, checked
- `weights`: tensors and tokenizer, opened safely
- `features`: log-mel features
- `subsampling`: the three strided convolutions
- `encoder`: the FastConformer
- `attention`: attention with relative positions
- `elementwise`: activations that do not depend on the number of threads
- `transducer`: predictor and joiner in PyTorch
- `steps`: predictor and joiner in NumPy, for the small steps of a CPU
- `greedy`: greedy decoding in batches
- `beam`: beam search with alternatives
- `phrases`: phrases as an automaton over characters
- `boosting`: phrases as bonuses on tokens
- `long_form`: audio of any length, in windows
- `under_way`: a recording from its windows to its words
- `gaps`: speech without words, transcribed again
- `gap_filler`: the gaps of a recording under way
- `invented`: words without speech, loops, and words that only phrases gave, left out
- `streaming`: audio as it comes, chunk by chunk
- `stream_beams`: beams and boosted phrases in it
- `int8`: matrix products in 8 bits
- `onnx_parity`: exported graphs held against the engine
- `onnx_export`: the model as ONNX graphs
- `gpu`: what is for a GPU only
"""
