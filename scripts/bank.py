"""Look into banks of cases, clean them, carry them over.

python scripts/bank.py inspect RUN_OR_BANK                        # what is in it, what helps, what misleads
python scripts/bank.py search RUN_OR_BANK "my card is late"       # the nearest cases, with their cosines
python scripts/bank.py export RUN_OR_BANK cases.parquet           # or .jsonl; a Hugging Face data set
python scripts/bank.py import BANK.sqlite RUN_OR_BANK_OR_FILE     # into a bank, which is made where there is none
python scripts/bank.py merge BANK.sqlite RUN_OR_BANK ...          # the same, of several
python scripts/bank.py remove BANK.sqlite --misleading            # take cases out, for good
"""

from __future__ import annotations

import sys

import _path  # noqa: F401

from errors import exit_code
from scripts.banks import commands

if __name__ == "__main__":
    sys.exit(exit_code(lambda: commands.main(sys.argv[1:], __doc__ or "")))
