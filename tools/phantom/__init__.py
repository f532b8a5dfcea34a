"""Programs that build the phantom's data files: bone templates and spine statistics."""
