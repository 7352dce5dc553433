"""Part warp: a source person cut into layers, and the layers moved to a target's keypoints; no training, no network."""
