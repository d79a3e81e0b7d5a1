"""One file for each third party, each behind a Protocol of `shoptalk.core.protocols`, imported lazily by `stages`.

- `nemo`: NeMo: build, restore, check, run and save a model
- `nemo_confidence`: token confidence of a decoded NeMo hypothesis
- `kokoro`: Kokoro-82M, the speech synthesiser
- `kokoro_graph`: its graph with faster integer products
- `kokoro_phonemes`: from text to its phonemes
- `word_frequencies`: counts of English words, by pyspellchecker
- `espeak`: eSpeak NG: text to IPA
- `llm_embedded`: llama.cpp in this process
- `llm_openai`: a language model behind an OpenAI-compatible endpoint
- `kept_answers`: its answers, each paid for once
- `tts_openai`: a synthesiser behind an OpenAI-compatible endpoint
- `tts_polly`: Amazon Polly
- `tts_riva`: NVIDIA Riva by gRPC
- `tts_piper`: Piper
- `ssml`: sentences with pronunciations, as these take them
- `asr_openai`: a recogniser behind an OpenAI-compatible endpoint
- `openai_http`: what the endpoints share
- `asr_whisper`: Whisper by faster-whisper
- `asr_moonshine`: Moonshine by its own runtime
- `vad_silero`: Silero VAD
- `vad_silero_live`: the same for recordings while they are made
- `onnx`: ONNX Runtime sessions, for Kokoro; the weights of a graph, for Silero
- `lhotse`: Lhotse's manifests and Kaldi's folders
- `hf_datasets`: Hugging Face data sets
- `aws`: clients of AWS's services, by boto3
- `s3`: Amazon S3 and what speaks like it
- `registry`: MLflow's model registry
"""
