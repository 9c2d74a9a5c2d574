"""One folder per pipeline: the four stages, one per policy, and the training of the models."""
