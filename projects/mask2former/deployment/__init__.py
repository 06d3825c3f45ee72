"""From a trained model to a file that other runtimes run."""
