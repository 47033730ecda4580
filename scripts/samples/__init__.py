"""The generators of the sample streams that ship under data/<task>/sample/; scripts/make_samples.py runs them."""
