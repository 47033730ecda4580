"""What scripts/prepare_data.py is made of: downloads, conversions of public releases, installing, checks."""
