"""The masks of what is shown: those of `reconciler.masking`."""

from reconciler.masking import Mask as Mask
from reconciler.masking import masked as masked
