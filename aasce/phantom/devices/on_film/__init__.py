"""The same objects over a film at hand, placed by its landmarks: light solids without the person behind them."""
