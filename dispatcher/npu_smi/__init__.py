"""What ``npu-smi`` says of a board: run within bounds, read by rules, given as typed facts."""
