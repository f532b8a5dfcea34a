"""Vertebral segmentation without training: a deformable template fitted to one scan."""
