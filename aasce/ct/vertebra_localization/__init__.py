"""Step 2 of the pipeline of Payer et al.: names and middles of the vertebrae; see `method`."""
