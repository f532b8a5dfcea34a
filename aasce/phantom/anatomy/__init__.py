"""The body around the spine: chest, shoulders, skull, pelvis, limbs, organs, bowel gas, muscles and skin."""
