"""Step 3 of the pipeline of Payer et al.: the mask of each vertebra; see `method`."""
