"""What every other package may use; it imports nothing of ours but itself.

- `recipe`: the recipe's sections and keys, each with its default
- `config`: reading a recipe, and the environment
- `resources`: the data that ship, in a clone and in a wheel
- `errors`: the tree of named errors
- `records`: the frozen records that flow between stages
- `sets`: names of the test sets, and what pins the fixed ones
- `scores`: the form of `scores.json`
- `files`: writing whole or not at all, resuming, hashing, JSON Lines
- `tables`: users' texts and tables, in whatever encoding they were saved
- `yaml_text`: users' YAML, without keys that occur twice
- `examples`: the one reader and writer of dataset manifests
- `audio`: decoding, resampling, writing; the sample rate
- `effects`: noise, rooms, gain and codecs as pure functions
- `noise`: manifests of noise and impulse responses
- `text`: the one meaning of "a word"
- `equivalents`: characters as others that mean the same
- `terms`: written variants of a term, and phonetic distance
- `tokens`: from SentencePiece pieces to words
- `confidence`: the temperature of word confidences
- `device`: what the processor and the accelerator can do, and what is chosen by it
- `runtime`: threads, memory and kernels of a process
- `protocols`: what is asked of third parties
- `checkpoint`: opening a `.nemo` safely
- `bundle`: opening a bundle
- `models`: the model store
- `disk`: a full disk, told as what it is
- `pages`: what the HTML pages of report and gate share
"""
