"""A run: its folder on disk, what the terminal shows of it, trackers."""
