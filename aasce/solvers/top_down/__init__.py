"""`top_down`: a residual U-Net finds the spine, a function fitted to its borders gives the angles."""
