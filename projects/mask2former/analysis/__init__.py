"""Measuring the model: side by side with other implementations, and part by part."""
