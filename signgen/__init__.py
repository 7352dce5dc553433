"""signgen: photo-realistic signers from keypoints."""

from signgen._torchvision import install_operator_schemas

__version__ = "0.1.0"

install_operator_schemas()
