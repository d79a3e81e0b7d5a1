"""One file for each third party, each behind a Protocol of `shoptalk.core.protocols`, imported lazily by `stages`.

- `nemo`: NeMo: build, restore, check, run and save a model
- `nemo_confidence`: token confidence of a decoded NeMo hypothesis
- `kokoro`: Kokoro-82M, the speech synthesiser
- `kokoro_graph`: its graph with faster integer products
- `kokoro_phonemes`: from text to its phonemes
- `espeak`: eSpeak NG: text to IPA
- `llm_embedded`: llama.cpp in this process
- `llm_openai`: a language model behind an OpenAI-compatible endpoint
- `asr_openai`: a recogniser behind an OpenAI-compatible endpoint
- `openai_http`: what both endpoints share
- `asr_whisper`: Whisper by faster-whisper
- `asr_moonshine`: Moonshine by its own runtime
- `vad_silero`: Silero VAD
- `vad_silero_live`: the same for recordings while they are made
- `onnx`: ONNX Runtime sessions, for Kokoro; the weights of a graph, for Silero
- `lhotse`: Lhotse's manifests and Kaldi's folders
- `hf_datasets`: Hugging Face data sets
- `s3`: Amazon S3 and what speaks like it, by boto3
- `registry`: MLflow's model registry
"""
