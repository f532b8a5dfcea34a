"""Step 1 of the pipeline of Payer et al.: where the spine runs; see `method`."""
