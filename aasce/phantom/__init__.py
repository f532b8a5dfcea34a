"""A person drawn from numbers (spine, anatomy, devices), and the films and scans taken of that person."""
