"""The constant predictor."""
