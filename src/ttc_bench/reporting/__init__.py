"""What a run shows: the table in the terminal and the runs in MLflow."""
