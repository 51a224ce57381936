"""What is put around an operation: the pipeline, its transaction, idempotency, the read cache, agents."""
