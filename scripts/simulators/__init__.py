"""Planted streams: what each case is worth to each query is known, so a policy's regret is exact."""
