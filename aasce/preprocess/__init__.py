"""Grey values, crops with their inverse, and augmentation of films with their landmarks."""
