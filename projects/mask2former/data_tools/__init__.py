"""Data before training: downloading, converting, checking and drawing data sets."""
