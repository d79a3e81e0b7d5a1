"""Stage 80 and what follows it: the bundle, its model card, the gate, and how many devices a load needs.

- `packaging`: 80: a tuned model as a bundle
- `card`: 80: the model card
- `gate`: a run's scores held against a policy
- `gate_policy`: the policy file
- `judging`: a run's scores judged, and the verdict written beside them
- `gate_page`: what the gate decided, for the console and as a page
- `capacity`: devices and cost for a load
- `corpus_plan`: core-hours and cost for a corpus
- `measured`: what devices were measured to do
- `queueing`: the laws of queues that capacity is planned by
"""
