"""How files are read and written, one place each. It needs neither torch nor mmdet."""
