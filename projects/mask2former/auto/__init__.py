"""From a folder of annotated images to a trained model, without a config."""
