"""The spine: pose, curves, shapes of the vertebrae, changes with age, and the data behind them."""
