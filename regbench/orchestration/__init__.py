"""What Snakemake and Slurm need: jobs, progress, estimates, the site."""
