"""What MLflow's pages show: experiments, names and parameters of runs, descriptions."""
