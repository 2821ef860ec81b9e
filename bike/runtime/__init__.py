"""What a running job needs: one process or many, saved state, and which digits the processor may decide."""
