"""Stage 80 and what follows it: the bundle, its model card, and the gate.

- `packaging`: 80: a tuned model as a bundle
- `card`: 80: the model card
- `gate`: a run's scores held against a policy
- `gate_policy`: the policy file
- `judging`: a run's scores judged, and the verdict written beside them
- `gate_page`: what the gate decided, for the console and as a page
"""
