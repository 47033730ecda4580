"""The commands of scripts/bank.py."""
