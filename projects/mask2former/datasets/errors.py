"""The one error type of data that is not as it must be."""


class DataError(ValueError):
    """An annotation, an image or a data set config is wrong; the message is one sentence with the file and the mend."""
