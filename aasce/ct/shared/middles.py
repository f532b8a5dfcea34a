"""The middles of the bodies in a label map; read without torch, by the commands that measure label maps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from aasce.readers.vertebrae import VERSE
from aasce.volume import Volume


def body_middles(labels: Volume) -> dict[int, NDArray[np.float64]]:
    """World mm (3,) of the middle of each vertebra's body in a label map.

    Of a vertebra's thick parts (voxels at least 0.6 as deep below the surface as the deepest one) the body is the one
    in front; in the neck the articular pillars are as thick.
    """
    middles = {}
    for label, box in enumerate(ndimage.find_objects(np.asarray(labels.data, np.int32)), 1):
        if box is not None:
            mask = np.pad(labels.data[box] == label, 1)
            depth = ndimage.distance_transform_edt(mask, sampling=labels.spacing)
            parts, count = ndimage.label(depth >= 0.6 * depth.max())
            sizes = np.bincount(parts.ravel())[1:]
            index = np.array(ndimage.center_of_mass(parts > 0, parts, range(1, count + 1)))
            places = labels.to_world(index - 1 + [part.start for part in box])
            if label == VERSE["C1"]:  # which has no body: the middle of its two masses
                middles[label] = places.mean(0)
                continue
            forward = np.where(sizes >= 0.2 * sizes.max(), places[:, 1], -np.inf)
            middles[label] = places[int(np.argmax(forward))]
    return middles
