"""From shape to angle: order of landmarks, centrelines, Cobb angles and the audit of labels."""
