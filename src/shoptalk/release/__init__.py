"""Stage 80 and what follows it: the bundle, its model card, and the gate."""
