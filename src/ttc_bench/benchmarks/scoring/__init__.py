"""Official scoring of the benchmarks, reproduced to the digit."""
