"""The table of stages, their signatures, and for each stage the wiring of inputs, integrations and product."""
