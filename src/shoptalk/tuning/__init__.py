"""Stage 60: fine-tuning a FastConformer-TDT, and training one from scratch, with the same code.

- `trainer`: from a base, or from nothing, to a tuned `.nemo`
- `module`: the training step
- `tdt_loss`: the TDT loss, and how a CPU computes it
- `tdt_on_device`: how other devices do
- `tdt_walk`: its walk over the lattice as a Triton kernel
- `data`: from manifests to batches
- `lines`: what of the manifests is checked before training
- `selection`: which recordings train, and how many are left out
- `batches`: which recordings are in a batch
- `features`: cached log-mel features
- `mel_effects`: voices, noise, rooms and lines on features
- `variety`: which of these effects an utterance gets
- `rerecording`: recordings augmented anew each time, as stage 40 does
- `packing`: features in little space, to carry them to another machine
- `material`: packed features in memory, and batches drawn from them
- `device_effects`: the effects for whole batches on a device
- `timed`: training in a given time on one device
- `graphs`: its step, recorded as CUDA graphs
- `ctc_on_device`: the CTC loss as such a graph may hold it
- `mel_decoder`: features of Kokoro's speech without its vocoder
- `alignment`: which token each frame stands for
- `tokenizer`: a BPE tokenizer
- `cpu_speed`: what makes a step on a CPU fast
- `lightning_internals`: where Lightning's own course is changed
- `tracking`: MLflow and TensorBoard loggers
"""
