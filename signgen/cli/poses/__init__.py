"""`signgen poses`: a group of commands on keypoints."""
