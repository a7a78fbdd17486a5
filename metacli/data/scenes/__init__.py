"""Images of lit solids whose segmentation, depth and normals are known exactly."""
