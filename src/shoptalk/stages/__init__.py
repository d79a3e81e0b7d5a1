"""The table of stages, their signatures, and for each stage the wiring of inputs, integrations and product.

- `table`: the stages: what each reads, makes and depends on
- `run`: the run folder and its signatures
- `starting`: a recipe, a lexicon and a policy to edit
- `preflight`: what a run needs, checked before its first stage
- `execution`: a recipe's stages, made where they are not current
- `corpus`: 10 to 50
- `training`: 60
- `evaluation`: 70
- `recognition`: 70: what a recogniser makes of the test recordings, resumable
- `recognizers`: opening the engine and other recognisers
- `packaging`: 80
- `transcribing`: recordings, PCM and phrases read for `shoptalk transcribe`
- `transcripts`: many recordings recognised in shared batches, rendered, and kept in a folder
- `exporting`: ONNX graphs, written and checked
- `publishing`: results/NAME.json and the table of the README
- `text_scores`: transcripts and references read and scored, without a run
- `timed_texts`: STM and CTM, words put into segments
- `releasing`: the gate and the registry on run folders
- `importing`: test sets of others
- `leaderboard`: the sets of the Open ASR Leaderboard, brought, recognised and scored
- `showcase`: the end of the demo: a fresh server is asked
- `serving`: 90
- `served_models`: 90: bundles and `.nemo` files with their workers, golden recordings and lexicons
- `processes`: the pool of workers on one machine
- `threads`: the pool of workers for services
- `synthesisers`: opening the synthesiser of a recipe
- `products`: products, written whole and resumed
"""
