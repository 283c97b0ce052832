"""CVAT: a function of nuclio that answers its interactor."""
