"""Many runs: tuning and comparison."""
