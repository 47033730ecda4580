"""The paper's experiments: planned from experiments.yaml, run by an engine, followed on a board."""
