"""How good a registration is.

Arrays or tensors go in: displacements ``(d, *S)`` in voxels of the fixed grid, label maps ``(*S)`` of integers, spacing
in mm. A float or a dict from label to float comes out. `METRICS` says what each number means.
"""

from regbench.metrics.definitions import (
    COMPARABLE,
    GOALS,
    METRICS,
    SIMILARITY,
    TIMED,
    Metric,
    metric_of,
    printed,
    widest_difference,
)
from regbench.metrics.digital import Digital, digital_percent, nd_points_percent, ndv_percent
from regbench.metrics.displacement_errors import (
    displacement_mm,
    endpoint_error_mm,
    inverse_consistency_mm,
    landmark_errors_mm,
    tre_l2r_mm,
    tre_metrics,
    tre_mm,
)
from regbench.metrics.folding import (
    fold_backward_percent,
    fold_central_percent,
    fold_forward_percent,
    folding_metrics,
    sdlogj,
    sdlogj_l2r,
)
from regbench.metrics.of_labels import label_metrics
from regbench.metrics.overlap import dice, dice30, mean_over_labels
from regbench.metrics.surface import TOLERANCE_MM, assd_mm, hd95_mm, nsd, surface_metrics
from regbench.metrics.surface_l2r import hd95_l2r

__all__ = [
    "COMPARABLE",
    "GOALS",
    "METRICS",
    "SIMILARITY",
    "TIMED",
    "TOLERANCE_MM",
    "Digital",
    "Metric",
    "assd_mm",
    "dice",
    "dice30",
    "digital_percent",
    "displacement_mm",
    "endpoint_error_mm",
    "fold_backward_percent",
    "fold_central_percent",
    "fold_forward_percent",
    "folding_metrics",
    "hd95_l2r",
    "hd95_mm",
    "inverse_consistency_mm",
    "label_metrics",
    "landmark_errors_mm",
    "mean_over_labels",
    "metric_of",
    "nd_points_percent",
    "ndv_percent",
    "nsd",
    "printed",
    "sdlogj",
    "sdlogj_l2r",
    "surface_metrics",
    "tre_l2r_mm",
    "tre_metrics",
    "tre_mm",
    "widest_difference",
]
