"""Downloads official data sets, checks and unpacks them."""
