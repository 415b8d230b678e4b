"""Many runs: replication and comparison, with their statistics."""
