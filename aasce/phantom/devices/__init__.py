"""What is on a film besides the body: spinal implants, braces, clothing, jewellery, electrodes and markers."""
