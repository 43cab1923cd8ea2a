"""trio_moon: a host service for headless Klipper 3D printers, built on Trio. Start reading at `app.py`."""

__version__ = "0.1.0"
