"""Reports on runs: runs -> settings -> streams; statistics, tables, plots, and a page that needs nothing else."""
