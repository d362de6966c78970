"""What the default networks read and write in place of coordinates."""

from smdgen.method.features.aligned import AlignedFeatures
from smdgen.method.features.internal import InternalFeatures

#: Internal coordinates, or places where these do not hold a fold.
Features = InternalFeatures | AlignedFeatures
