"""Training of efiqa's models from vessel anatomy; every stage is a module with a ``main``."""
