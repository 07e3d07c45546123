"""The command line, sweeps, the terminal and Weights & Biases: no other room imports this one."""
