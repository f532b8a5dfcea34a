"""X-ray simulation: from meshes or a CT volume to path lengths, detector signal and the finished film."""
