"""What those who operate workers and services see: metrics, traces and logs."""
