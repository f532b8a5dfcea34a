"""The spine's centreline by a cascade of U-nets, angles from its tangents; see `solver`."""
