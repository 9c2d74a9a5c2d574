"""The embedded reference models: problem generators, training and evaluation."""
