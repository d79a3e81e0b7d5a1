"""Shoptalk teaches the jargon of a trade to a speech recogniser and puts the result to work.

- `cli`: the command line
- `stages`: the table of stages, signatures, and the wiring of each stage
- `corpus`: stages 10 to 50: from terms to a dataset
- `testsets`: test sets, imported or made
- `tuning`: stage 60: fine-tuning
- `scoring`: stage 70: metrics, intervals and reports
- `release`: stage 80, the gate and the model card
- `engine`: inference without NeMo, for stages 70 and 90
- `service`: stage 90: the HTTP service
- `integrations`: one file for each third party
- `core`: what every other package may use
"""

__version__ = "0.1.0"
