"""Reports of runs: tables, plots and a page."""
