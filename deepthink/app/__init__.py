"""The command line: processes of a sweep, the terminal, Weights & Biases."""
